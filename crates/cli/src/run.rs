//! `pushflow run`: loads a graph file, runs it, prints the result.

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use pushflow::{
    CodecError, Data, LoadOptions, Lossy, Outputs, PoolOptions, PythonClasses, PythonSettings, RunOptions, StopSignal,
    Workflow, green,
};

use crate::arguments::{OutputFormat, OutputSelection, RunArguments};
use crate::stderr::write_line;
use crate::task_output::TaskOutput;
use crate::{exit, inputs, json, report, stdout};

/// How many events may wait to be printed; more are dropped.
const QUEUE: usize = 4096;

/// Runs the workflow, and returns the exit code.
pub(crate) fn run(arguments: &RunArguments) -> u8 {
    match try_run(arguments) {
        Ok(code) => code,
        Err(error) => {
            write_line(&format!("error: {error}"));
            exit::USAGE
        }
    }
}

/// # Errors
/// When the run can't begin. Errors during the run are in its outcome.
fn try_run(arguments: &RunArguments) -> Result<u8, Box<dyn Error>> {
    arguments.environment.map_or(Ok(()), green::choose)?;
    let mut output = stdout::take_stdout()?;
    let workflow = load(arguments)?;
    if arguments.dry_run {
        return Ok(printed(report::describe(&workflow, arguments.format), exit::FINISHED, &mut output));
    }
    let run = workflow.prepare(Data::new(), &options(arguments, &workflow)?)?;
    let outcome = run.wait();
    report::explain(&outcome);
    let code = exit::code(&outcome.ending.kind, outcome.signal);
    let text = match arguments.format {
        OutputFormat::Text => report::as_text(&outcome, arguments.output),
        OutputFormat::Json => json::of_run(&workflow, &outcome, arguments.output),
    };
    Ok(printed(text, code, &mut output))
}

/// Prints the text and returns the exit code, which is at least that of a failure if the text can't be printed.
fn printed(text: Result<String, CodecError>, code: u8, output: &mut dyn Write) -> u8 {
    match text.map_err(io::Error::other).and_then(|text| stdout::print_on(output, &text)) {
        Ok(()) => code,
        Err(error) => {
            write_line(&format!("error: the result could not be printed: {error}"));
            code.max(exit::FAILED)
        }
    }
}

/// Loads the graph with its inputs.
fn load(arguments: &RunArguments) -> Result<Workflow, Box<dyn Error>> {
    let inputs = inputs::of(arguments)?;
    folders_are_there("--root-dir", arguments.root_dir.as_slice())?;
    folders_are_there("--python-path", &arguments.python_path)?;
    let mut classes = PythonClasses::new().python(python(arguments));
    classes.worker = arguments.worker.clone();
    classes.limit = arguments.attempt_timeout.unwrap_or(classes.limit);
    let mut options = LoadOptions::default().with_inputs(inputs).with_classes(Arc::new(classes));
    options.root.clone_from(&arguments.root_dir);
    Ok(if inputs::is_standard_input(&arguments.graph) {
        Workflow::read(io::stdin(), "standard input", &options)?
    } else {
        Workflow::load_with(&arguments.graph, &options)?
    })
}

/// Checks that each path is a folder.
///
/// # Errors
/// When a path does not exist, or is no folder.
pub(crate) fn folders_are_there(option: &str, folders: &[PathBuf]) -> Result<(), String> {
    match folders.iter().find(|folder| !folder.is_dir()) {
        None => Ok(()),
        Some(folder) => Err(format!("there is no folder {:?} for {option}", folder.display().to_string())),
    }
}

fn python(arguments: &RunArguments) -> PythonSettings {
    let mut settings = PythonSettings::new().path(&arguments.python_path);
    settings.interpreter = arguments.python.clone();
    settings
}

fn options(arguments: &RunArguments, workflow: &Workflow) -> Result<RunOptions, Box<dyn Error>> {
    let printer = Lossy::new(TaskOutput::new(workflow, arguments.progress)?, QUEUE)?;
    let mut pool_options = PoolOptions::new()
        .scaling(!arguments.no_scaling)
        .interrupt_grace(arguments.interrupt_grace)
        .orphan_grace(arguments.orphan_grace)
        .start_method(arguments.start_method);
    pool_options.max_workers = arguments.workers.map(|workers| workers as usize);
    pool_options.max_tasks_per_worker = arguments.max_tasks_per_worker.map(|tasks| tasks as usize);
    pool_options.worker = arguments.worker.clone();
    let outputs = match arguments.output {
        OutputSelection::Last => Outputs::Last,
        OutputSelection::Ends => Outputs::Ends,
        OutputSelection::All => Outputs::All,
    };
    let mut options = RunOptions::new()
        .pool_options(pool_options)
        .stop_signals(StopSignal::ALL)
        .python(python(arguments))
        .observer(printer)
        .outputs(outputs);
    options.pool = arguments.pool;
    options.timeout = arguments.timeout;
    options.attempt_timeout = arguments.attempt_timeout;
    options.limits.max_rounds = arguments.max_rounds;
    Ok(options)
}
