//! `pushflow run`: loads a graph file, runs it, prints the result.

use std::error::Error;
use std::sync::Arc;

use pushflow::{
    Data, Key, Lossy, Payload, PoolOptions, PythonSettings, RunOptions, StopSignal, Value, Workflow, green,
};

use crate::arguments::RunArguments;
use crate::output::{TaskOutput, line};
use crate::{exit, report};

/// How many events may wait to be printed.
const QUEUE: usize = 4096;

/// Runs the workflow: the exit code.
pub(crate) fn run(arguments: &RunArguments) -> u8 {
    match try_run(arguments) {
        Ok(code) => code,
        Err(error) => {
            line(&format!("error: {error}"));
            exit::USAGE
        }
    }
}

/// The errors are those that can be known before the run.
fn try_run(arguments: &RunArguments) -> Result<u8, Box<dyn Error>> {
    arguments.environment.map_or(Ok(()), green::choose)?;
    let inputs = inputs(&arguments.inputs)?;
    let workflow = Workflow::load(&arguments.graph)?;
    let run = workflow.prepare(inputs, &options(arguments, &workflow)?)?;
    let outcome = run.wait();
    report::explain(&outcome);
    let mut code = exit::code(&outcome.ending, outcome.signal);
    if let Err(error) = report::print_result(outcome.result.as_ref(), arguments.format) {
        line(&format!("error: the result could not be printed: {error}"));
        code = code.max(exit::FAILED);
    }
    Ok(code)
}

fn inputs(given: &[(String, Value)]) -> Result<Data, String> {
    let mut inputs = Data::new();
    for (name, value) in given {
        if inputs.named(name).is_some() {
            return Err(format!("the input {name:?} is given twice"));
        }
        inputs.insert(Key::from(name.as_str()), Payload::from(value.clone()));
    }
    Ok(inputs)
}

fn options(arguments: &RunArguments, workflow: &Workflow) -> Result<RunOptions, Box<dyn Error>> {
    let printer = Lossy::new(TaskOutput::new(workflow), QUEUE)?;
    Ok(RunOptions {
        pool: arguments.pool.unwrap_or_default(),
        pool_options: PoolOptions {
            max_workers: arguments.workers.map(|workers| workers as usize),
            scaling: !arguments.no_scaling,
            interrupt_grace: arguments.interrupt_grace,
            orphan_grace: arguments.orphan_grace,
            start_method: arguments.start_method,
            worker: arguments.worker.clone(),
            ..PoolOptions::default()
        },
        timeout: arguments.timeout,
        attempt_timeout: arguments.attempt_timeout,
        stop_signals: StopSignal::ALL.to_vec(),
        python: PythonSettings { interpreter: arguments.python.clone(), path: arguments.python_path.clone() },
        observers: vec![Arc::new(printer)],
        ..RunOptions::default()
    })
}
