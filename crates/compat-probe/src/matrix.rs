//! The combinations, the verdicts on each, and how they compare with the original.

use std::collections::BTreeMap;

use pushflow::green::Environment;
use pushflow::{PoolType, StartMethod};
use pushflow_probe_tasks::ProbeTask;

use crate::arguments::ProbeArguments;
use crate::baseline::{Comparison, compare};
use crate::names::selected;
use crate::request::Request;
use crate::verdict::Verdict;

/// A pool, a task, a start method and an environment, which are tested together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Combination {
    pub(crate) environment: Environment,
    pub(crate) pool: PoolType,
    pub(crate) task: ProbeTask,
    pub(crate) start_method: StartMethod,
}

impl Combination {
    /// The combinations that the arguments select, in the order of the report.
    pub(crate) fn selected(arguments: &ProbeArguments) -> Vec<Combination> {
        let mut combinations = Vec::new();
        for environment in selected(&arguments.environment) {
            for pool in selected(&arguments.pool) {
                for task in selected(&arguments.task) {
                    let methods = selected(&arguments.start_method).into_iter();
                    combinations.extend(methods.map(|start_method| Combination {
                        environment,
                        pool,
                        task,
                        start_method,
                    }));
                }
            }
        }
        combinations
    }

    pub(crate) fn request(&self) -> Request {
        Request::Task { pool: self.pool, task: self.task, start_method: self.start_method }
    }
}

/// A combination with the verdicts on its executions. The worst of them counts.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) combination: Combination,
    /// How many executions had each verdict, by the verdict's word.
    pub(crate) counts: BTreeMap<&'static str, usize>,
    /// The worst verdict; `None` before the first execution.
    pub(crate) worst: Option<Verdict>,
}

impl Cell {
    pub(crate) fn new(combination: Combination) -> Cell {
        Cell { combination, counts: BTreeMap::new(), worst: None }
    }

    /// Adds the verdict on one execution.
    pub(crate) fn add(&mut self, verdict: Verdict) {
        *self.counts.entry(verdict.word()).or_default() += 1;
        self.worst = self.worst.take().max(Some(verdict));
    }

    /// The comparison of the worst verdict with the original; `None` before the first execution.
    pub(crate) fn comparison(&self) -> Option<Comparison> {
        let Combination { environment, pool, task, start_method } = self.combination;
        self.worst.as_ref().map(|worst| compare(environment, pool, task, start_method, worst))
    }
}

/// How many cells have each verdict and each comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) verdicts: BTreeMap<&'static str, usize>,
    pub(crate) worse: usize,
    pub(crate) as_good: usize,
    pub(crate) better: usize,
    /// Combinations that were not run, since the probe was interrupted.
    pub(crate) unknown: usize,
}

impl Summary {
    pub(crate) fn of(cells: &[Cell]) -> Summary {
        let mut summary = Summary::default();
        for cell in cells {
            match cell.comparison() {
                None => summary.unknown += 1,
                Some(Comparison::Worse) => summary.worse += 1,
                Some(Comparison::AsGood) => summary.as_good += 1,
                Some(Comparison::Better) => summary.better += 1,
            }
            if let Some(worst) = &cell.worst {
                *summary.verdicts.entry(worst.word()).or_default() += 1;
            }
        }
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_as_good_as_its_worst_execution() {
        let combination = Combination {
            environment: Environment::Plain,
            pool: PoolType::Thread,
            task: ProbeTask::Simple,
            start_method: StartMethod::Spawn,
        };
        let mut cell = Cell::new(combination);
        assert_eq!(cell.comparison(), None);
        for verdict in [Verdict::Ok, Verdict::Failed("once".into()), Verdict::Ok] {
            cell.add(verdict);
        }
        assert_eq!(cell.worst, Some(Verdict::Failed("once".into())));
        assert_eq!(cell.counts, BTreeMap::from([("ok", 2), ("failed", 1)]));
        assert_eq!(cell.comparison(), Some(Comparison::Worse));
    }
}
