//! The seven tasks of the compatibility table of the original (pypushflow), and a check of their results.
//!
//! Each program that links this crate has the tasks: `pushflow-worker`, `pushflow` and `pushflow-probe`, but no user's
//! program. Their names begin with `pushflow.`, so that a program with no other tasks counts as one without tasks of its
//! own.

mod options;
mod tasks;

use std::fmt;

use pushflow_model::{Data, PoolType, StartMethod, TaskSpec, Value};
use pushflow_pool::ProcessFamily;

pub use options::pool_options;

/// A task of the original's compatibility table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProbeTask {
    /// A function that starts no process.
    Simple,
    /// A command.
    Subprocess,
    /// A pool `process` inside the task: the original's `concurrent.futures`.
    CfPool,
    /// A pool `multiprocessing` inside the task.
    MpPool,
    /// A single process of the family multiprocessing.
    MpProcess,
    /// A pool `billiard` inside the task.
    BPool,
    /// A single process of the family billiard.
    BProcess,
}

/// What a task starts inside.
enum Nested {
    Nothing,
    Pool(PoolType),
    Process(ProcessFamily),
}

impl ProbeTask {
    /// Every task, in the order of the original's table.
    pub const ALL: [ProbeTask; 7] = [
        ProbeTask::Simple,
        ProbeTask::Subprocess,
        ProbeTask::CfPool,
        ProbeTask::MpPool,
        ProbeTask::MpProcess,
        ProbeTask::BPool,
        ProbeTask::BProcess,
    ];

    /// The name in the original's table.
    pub fn name(self) -> &'static str {
        match self {
            ProbeTask::Simple => "simple",
            ProbeTask::Subprocess => "subprocess",
            ProbeTask::CfPool => "cfpool",
            ProbeTask::MpPool => "mppool",
            ProbeTask::MpProcess => "mpprocess",
            ProbeTask::BPool => "bpool",
            ProbeTask::BProcess => "bprocess",
        }
    }

    fn nested(self) -> Nested {
        match self {
            ProbeTask::Simple | ProbeTask::Subprocess => Nested::Nothing,
            ProbeTask::CfPool => Nested::Pool(PoolType::Process),
            ProbeTask::MpPool => Nested::Pool(PoolType::Multiprocessing),
            ProbeTask::BPool => Nested::Pool(PoolType::Billiard),
            ProbeTask::MpProcess => Nested::Process(ProcessFamily::Multiprocessing),
            ProbeTask::BProcess => Nested::Process(ProcessFamily::Billiard),
        }
    }

    /// The description of the task for a pool or a workflow.
    pub fn spec(self) -> TaskSpec {
        match self {
            ProbeTask::Subprocess => TaskSpec::command(["sh", "-c", "echo $((2 * {value}))"]),
            task => TaskSpec::rust(match task.nested() {
                Nested::Nothing => tasks::SIMPLE,
                Nested::Pool(_) => tasks::NESTED_POOL,
                Nested::Process(_) => tasks::NESTED_PROCESS,
            }),
        }
    }

    /// The inputs of the task: the number to double, and the start method of the pool or process inside.
    pub fn inputs(self, value: i64, start_method: StartMethod) -> Data {
        let inputs = Data::new().with("value", value).with("start_method", start_method.name());
        match self.nested() {
            Nested::Nothing => inputs,
            Nested::Pool(pool) => inputs.with("pool", pool.name()),
            Nested::Process(family) => inputs.with("billiard", family == ProcessFamily::Billiard),
        }
    }

    /// Checks a result: the number must be doubled, by another process if the task starts one.
    ///
    /// # Errors
    /// When the result is wrong; the text says how.
    pub fn check(self, value: i64, result: &Data) -> Result<(), String> {
        let expected = match self {
            ProbeTask::Subprocess => ("stdout", Value::from(format!("{}\n", 2 * value))),
            _ => ("value", Value::from(2 * value)),
        };
        let entry = |name: &str| result.value(name).map_err(|error| error.to_string());
        let found = entry(expected.0)?;
        if found != Some(&expected.1) {
            return Err(format!("its result has {found:?} as {}, not {:?}", expected.0, expected.1));
        }
        if !matches!(self.nested(), Nested::Nothing) && entry("pid")? == entry("outer")? {
            return Err("what it has inside did not run in a process of its own".into());
        }
        Ok(())
    }
}

impl fmt::Display for ProbeTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A task whose result identifies its process, by `pid`, `process` (the name) and `daemonic`; and the inputs of the task.
pub fn process_identity() -> (TaskSpec, Data) {
    (TaskSpec::rust(tasks::SIMPLE), Data::new().with("value", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_is_wrong_or_from_the_wrong_process_is_seen() {
        let result = |pid: i64| Data::new().with("value", 42).with("pid", pid).with("outer", 7);
        assert_eq!(ProbeTask::Simple.check(21, &result(7)), Ok(()));
        assert_eq!(ProbeTask::BPool.check(21, &result(8)), Ok(()));
        assert!(ProbeTask::BPool.check(21, &result(7)).unwrap_err().contains("process of its own"));
        assert!(ProbeTask::Simple.check(20, &result(7)).unwrap_err().contains("not Int(40)"));
        let printed = Data::new().with("stdout", "42\n");
        assert_eq!(ProbeTask::Subprocess.check(21, &printed), Ok(()));
    }
}
