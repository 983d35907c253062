//! The baseline: which task runs on which pool by the documents of the original, and the comparison of a verdict with that.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use pushflow::green::Environment;
use pushflow::{PoolType, StartMethod};
use pushflow_probe_tasks::ProbeTask;
use serde::Deserialize;

use crate::verdict::Verdict;

/// The tables of the README of pypushflow 2.0.0. The comments in the file say what each word requires of pushflow.
const MATRIX: &str = include_str!("baseline.toml");

/// The message with which the original refuses a child process to a daemonic process.
pub(crate) const REFUSAL: &str = "daemonic processes are not allowed to have children";

/// What the original's documents say about one task on one pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Support {
    #[serde(rename = "ok")]
    Ok,
    #[serde(rename = "hangs sometimes")]
    HangsSometimes,
    /// The task runs, but not with the start method `spawn`.
    #[serde(rename = "not spawn")]
    NotSpawn,
    #[serde(rename = "no")]
    No,
}

/// How a verdict compares with the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Worse,
    AsGood,
    Better,
}

/// What a combination must do to be as good as the original.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Requirement {
    /// The task must run.
    Runs,
    /// The task must be refused, with the message of the original.
    Refused,
    /// The task need not run, and is better than the original if it does.
    Nothing,
}

#[derive(Deserialize)]
struct Matrix {
    tasks: Vec<String>,
    plain: BTreeMap<String, Vec<Support>>,
    green: BTreeMap<String, Vec<Support>>,
}

static PARSED: LazyLock<Matrix> =
    LazyLock::new(|| toml::from_str(MATRIX).expect("the table is part of this program, and a test reads it"));

impl Support {
    /// What the original's documents say about this task on this pool.
    pub(crate) fn of(environment: Environment, pool: PoolType, task: ProbeTask) -> Support {
        let matrix = &*PARSED;
        let rows = match environment {
            Environment::Plain => &matrix.plain,
            Environment::Green => &matrix.green,
        };
        let column = matrix.tasks.iter().position(|name| name == task.name());
        let support = column.and_then(|column| rows.get(pool.name())?.get(column).copied());
        support.expect("a test looks at every cell")
    }

    /// The word in the original's documents.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Support::Ok => "ok",
            Support::HangsSometimes => "hangs sometimes",
            Support::NotSpawn => "not spawn",
            Support::No => "no",
        }
    }
}

/// Whether a rule of the original forbids the combination: a daemonic worker may have children of the billiard family only.
fn is_refusal(environment: Environment, pool: PoolType, task: ProbeTask) -> bool {
    environment == Environment::Plain
        && matches!(pool, PoolType::Multiprocessing | PoolType::Billiard)
        && matches!(task, ProbeTask::CfPool | ProbeTask::MpPool | ProbeTask::MpProcess)
}

fn requirement(environment: Environment, pool: PoolType, task: ProbeTask, start_method: StartMethod) -> Requirement {
    match Support::of(environment, pool, task) {
        Support::Ok | Support::HangsSometimes => Requirement::Runs,
        Support::NotSpawn if start_method != StartMethod::Spawn => Requirement::Runs,
        Support::No if is_refusal(environment, pool, task) => Requirement::Refused,
        Support::NotSpawn | Support::No => Requirement::Nothing,
    }
}

/// Compares a verdict with the original's documents. A hang is always worse.
pub(crate) fn compare(
    environment: Environment,
    pool: PoolType,
    task: ProbeTask,
    start_method: StartMethod,
    found: &Verdict,
) -> Comparison {
    let hangs_there = Support::of(environment, pool, task) == Support::HangsSometimes;
    match (requirement(environment, pool, task, start_method), found) {
        (_, Verdict::Hung(_)) => Comparison::Worse,
        (Requirement::Runs, Verdict::Ok) if hangs_there => Comparison::Better,
        (Requirement::Runs, Verdict::Ok) => Comparison::AsGood,
        (Requirement::Refused, Verdict::Refused(message)) if message == REFUSAL => Comparison::AsGood,
        (Requirement::Runs | Requirement::Refused, _) => Comparison::Worse,
        (Requirement::Nothing, Verdict::Ok) => Comparison::Better,
        (Requirement::Nothing, _) => Comparison::AsGood,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHODS: [StartMethod; 3] = [StartMethod::Spawn, StartMethod::Forkserver, StartMethod::Fork];

    #[test]
    fn the_table_has_a_cell_for_every_pool_and_task() {
        let mut known = 0;
        for environment in Environment::ALL {
            for pool in PoolType::ALL {
                known +=
                    ProbeTask::ALL.iter().filter(|&&task| Support::of(environment, pool, task) != Support::No).count();
            }
        }
        assert_eq!(known, 6 * 7 - 6 + 2 * 5 + 2 * 5);
        assert_eq!(Support::of(Environment::Plain, PoolType::Billiard, ProbeTask::BPool), Support::HangsSometimes);
        assert_eq!(Support::of(Environment::Green, PoolType::Process, ProbeTask::BProcess), Support::NotSpawn);
    }

    #[test]
    fn what_is_ok_there_must_be_ok_here_with_every_start_method() {
        for method in METHODS {
            let compared =
                |found: Verdict| compare(Environment::Plain, PoolType::Thread, ProbeTask::BPool, method, &found);
            assert_eq!(compared(Verdict::Ok), Comparison::AsGood);
            for bad in [Verdict::Unsupported, Verdict::Refused, Verdict::Failed, Verdict::Hung] {
                assert_eq!(compared(bad(REFUSAL.into())), Comparison::Worse);
            }
        }
    }

    #[test]
    fn what_hangs_sometimes_there_must_be_ok_here() {
        let compared =
            |found| compare(Environment::Plain, PoolType::Process, ProbeTask::BPool, StartMethod::Fork, &found);
        assert_eq!(compared(Verdict::Ok), Comparison::Better);
        assert_eq!(compared(Verdict::Hung(String::new())), Comparison::Worse);
    }

    #[test]
    fn not_spawn_must_be_ok_with_fork_and_forkserver_and_may_be_with_spawn() {
        let failed = Verdict::Failed(String::new());
        let compared = |method, found: &Verdict| {
            compare(Environment::Green, PoolType::NdProcess, ProbeTask::CfPool, method, found)
        };
        assert_eq!(compared(StartMethod::Fork, &failed), Comparison::Worse);
        assert_eq!(compared(StartMethod::Forkserver, &failed), Comparison::Worse);
        assert_eq!(compared(StartMethod::Spawn, &failed), Comparison::AsGood);
        assert_eq!(compared(StartMethod::Spawn, &Verdict::Ok), Comparison::Better);
    }

    #[test]
    fn the_daemonic_refusals_must_be_refusals_in_the_originals_words() {
        for pool in [PoolType::Multiprocessing, PoolType::Billiard] {
            for task in [ProbeTask::CfPool, ProbeTask::MpPool, ProbeTask::MpProcess] {
                let compared = |found| compare(Environment::Plain, pool, task, StartMethod::Spawn, &found);
                assert_eq!(compared(Verdict::Refused(REFUSAL.into())), Comparison::AsGood);
                assert_eq!(compared(Verdict::Refused("no".into())), Comparison::Worse);
                assert_eq!(compared(Verdict::Ok), Comparison::Worse);
            }
        }
    }

    #[test]
    fn every_other_no_may_be_better_but_never_hang() {
        let compared =
            |found| compare(Environment::Green, PoolType::Gevent, ProbeTask::MpPool, StartMethod::Spawn, &found);
        assert_eq!(compared(Verdict::Ok), Comparison::Better);
        assert_eq!(compared(Verdict::Unsupported(String::new())), Comparison::AsGood);
        assert_eq!(compared(Verdict::Hung(String::new())), Comparison::Worse);
    }
}
