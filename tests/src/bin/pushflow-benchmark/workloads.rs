//! The workloads, each on each pool and in each language.

use std::error::Error;
use std::time::{Duration, Instant};

use pushflow::{
    ActorId, Data, EndingKind, PoolOptions, PoolType, PythonOptions, RunOptions, TaskPool, Value, Workflow,
};
use serde_json::json;

use crate::arguments::Arguments;
use crate::tasks::Language;

type Measured<T> = Result<T, Box<dyn Error>>;

const WORKERS: usize = 2;
const POOLS: [PoolType; 3] = [PoolType::Process, PoolType::Multiprocessing, PoolType::Thread];
const MIB: usize = 1 << 20;
/// A run that takes longer has hung.
const LIMIT: Duration = Duration::from_secs(300);

/// The pool and the language of a measurement.
#[derive(Clone, Copy)]
struct Case<'a> {
    arguments: &'a Arguments,
    pool: PoolType,
    language: Language,
}

/// Runs the workloads that the arguments select.
pub(crate) fn run(arguments: &Arguments) -> Measured<()> {
    for pool in POOLS {
        for language in Language::ALL {
            let case = Case { arguments, pool, language };
            case.pools()?;
            case.workflows()?;
        }
    }
    Ok(())
}

impl Case<'_> {
    fn name(&self) -> String {
        format!("pushflow:{}:{}", self.language.name(), self.pool)
    }

    fn wants(&self, workload: &str) -> bool {
        self.arguments.wants(workload, &self.name())
    }

    fn pool_options(&self) -> Measured<PoolOptions> {
        let python = match self.language {
            Language::Rust => None,
            Language::Python => {
                let interpreter = pushflow::find_interpreter(None)?;
                Some(PythonOptions::new(interpreter, Vec::new()))
            }
        };
        let mut options = PoolOptions::new().max_workers(WORKERS).scaling(false);
        options.python = python;
        Ok(options)
    }

    fn run_options(&self) -> Measured<RunOptions> {
        let mut pool_options = self.pool_options()?;
        pool_options.python = None;
        Ok(RunOptions::new().pool(self.pool).pool_options(pool_options).timeout(LIMIT))
    }

    // ----- pools -----

    fn pools(&self) -> Measured<()> {
        if !["submit", "roundtrip"].iter().any(|workload| self.wants(workload)) {
            return Ok(());
        }
        let pool = TaskPool::open(self.pool, &self.pool_options()?)?;
        self.submit_all(&pool, 50)?;
        if self.wants("submit") {
            let count = self.arguments.size(10_000, 100_000);
            self.report("submit", "us/task", count, || Ok(self.submit_all(&pool, count)? / count as f64 * 1e6))?;
        }
        if self.wants("roundtrip") {
            let count = self.arguments.size(200, 2_000);
            self.report("roundtrip", "us/task", count, || {
                let mut times = (0..count).map(|_| self.submit_all(&pool, 1)).collect::<Measured<Vec<f64>>>()?;
                Ok(median(&mut times) * 1e6)
            })?;
        }
        Ok(())
    }

    /// The seconds from the first submission to the last result.
    fn submit_all(&self, pool: &TaskPool, count: usize) -> Measured<f64> {
        let task = self.language.task("identity");
        let began = Instant::now();
        let inputs = |number: usize| Data::new().with("x", Value::Int(number as i64));
        let pending: Vec<_> =
            (0..count).map(|number| pool.submit(task.clone(), inputs(number))).collect::<Result<_, _>>()?;
        for (number, pending) in pending.into_iter().enumerate() {
            let result = pending.wait()?;
            if result.value("x")? != Some(&Value::Int(number as i64)) {
                return Err(format!("{} gave a wrong result", self.name()).into());
            }
        }
        Ok(began.elapsed().as_secs_f64())
    }

    // ----- workflows -----

    fn workflows(&self) -> Measured<()> {
        if self.wants("chain") {
            let count = self.arguments.size(200, 1_000);
            let workflow = chain(self.language, "add_one", count)?;
            self.report("chain", "us/node", count, || self.per_item(&workflow, &[("value", 0)], count, count))?;
        }
        if self.wants("fanout") {
            let count = self.arguments.size(1_000, 10_000);
            let workflow = fan_out(self.language, count)?;
            self.report("fanout", "us/node", count, || self.per_item(&workflow, &[("value", 0)], 1, count))?;
        }
        if self.wants("cycle") {
            let count = self.arguments.size(200, 1_000);
            let (workflow, inputs) = (cycle(self.language)?, [("value", 0), ("limit", count as i64)]);
            self.report("cycle", "us/round", count, || self.per_item(&workflow, &inputs, count, count))?;
        }
        if self.wants("payload") {
            let size = self.arguments.size(8, 64) * MIB;
            let workflow = chain(self.language, "copy", 3)?;
            self.report("payload", "MiB/s", 3, || {
                let inputs = Data::new().with("blob", Value::Bytes(vec![7_u8; size].into()));
                let (seconds, result) = self.seconds(&workflow, inputs)?;
                match result.value("blob")? {
                    Some(Value::Bytes(blob)) if blob.len() == size => Ok((3 * size / MIB) as f64 / seconds),
                    _ => Err("the payload did not arrive".into()),
                }
            })?;
        }
        if self.wants("coldstart") {
            let workflow = chain(self.language, "add_one", 1)?;
            let inputs = || Data::new().with("value", 0);
            self.report("coldstart", "ms/run", 1, || Ok(self.seconds(&workflow, inputs())?.0 * 1e3))?;
        }
        Ok(())
    }

    /// The microseconds per item of a run that ends with this value.
    fn per_item(&self, workflow: &Workflow, inputs: &[(&str, i64)], value: usize, count: usize) -> Measured<f64> {
        let data = inputs.iter().fold(Data::new(), |data, &(name, value)| data.with(name, value));
        let (seconds, result) = self.seconds(workflow, data)?;
        match result.value("value")? {
            Some(Value::Int(found)) if *found == value as i64 => Ok(seconds / count as f64 * 1e6),
            other => Err(format!("{} gave {other:?} in place of {value}", self.name()).into()),
        }
    }

    /// The seconds that a whole run takes, with the pool that it opens and closes, and its result.
    fn seconds(&self, workflow: &Workflow, inputs: Data) -> Measured<(f64, Data)> {
        let options = self.run_options()?;
        let began = Instant::now();
        let outcome = workflow.run(inputs, &options)?;
        let seconds = began.elapsed().as_secs_f64();
        match (outcome.ending.kind, outcome.ending.result) {
            (EndingKind::Finished, Some(result)) => Ok((seconds, result)),
            (ending, _) => Err(format!("{} ended as {ending:?}: {:?}", self.name(), outcome.ending.errors).into()),
        }
    }

    // ----- results -----

    /// Measures as often as is asked for, and prints the median.
    fn report(
        &self,
        workload: &str,
        unit: &str,
        count: usize,
        mut measure: impl FnMut() -> Measured<f64>,
    ) -> Measured<()> {
        let mut values = (0..self.arguments.repeat).map(|_| measure()).collect::<Measured<Vec<f64>>>()?;
        let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
        let value = rounded(median(&mut values));
        println!(
            "{}",
            json!({
                "workload": workload, "peer": self.name(), "unit": unit, "value": value,
                "min": values.first().copied().map(rounded), "max": values.last().copied().map(rounded),
                "n": count, "workers": WORKERS, "repeat": values.len(),
            })
        );
        Ok(())
    }
}

/// The median. Sorts the values.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Tasks in a row.
fn chain(language: Language, task: &str, count: usize) -> Measured<Workflow> {
    let (mut workflow, start, stop) = empty()?;
    let mut last = start;
    for number in 0..count {
        let node = workflow.task(format!("n{number}"), language.task(task))?;
        workflow.connect(last, node)?;
        last = node;
    }
    workflow.connect(last, stop)?;
    Ok(workflow)
}

/// Tasks side by side.
fn fan_out(language: Language, count: usize) -> Measured<Workflow> {
    let (mut workflow, start, stop) = empty()?;
    for number in 0..count {
        let node = workflow.task(format!("n{number}"), language.task("add_one"))?;
        workflow.connect(start, node)?;
        workflow.connect(node, stop)?;
    }
    Ok(workflow)
}

/// A loop of two tasks and a router.
fn cycle(language: Language) -> Measured<Workflow> {
    let (mut workflow, start, stop) = empty()?;
    let add = workflow.task("add", language.task("add_one"))?;
    let check = workflow.task("check", language.task("check"))?;
    let again = workflow.router("again?", "again", [true, false])?;
    for (source, target) in [(start, add), (add, check), (check, again)] {
        workflow.connect(source, target)?;
    }
    workflow.connect_port(again, true, add)?;
    workflow.connect_port(again, false, stop)?;
    Ok(workflow)
}

fn empty() -> Measured<(Workflow, ActorId, ActorId)> {
    let mut workflow = Workflow::new("benchmark");
    let (start, stop) = (workflow.start()?, workflow.stop()?);
    Ok((workflow, start, stop))
}
