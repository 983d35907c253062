//! [`Outputs`]: what a run keeps for its outcome beside the result (`docs/parity.md` P56, P151).

use std::collections::{BTreeMap, VecDeque};

use pushflow_graph::ActorId;
use pushflow_model::{AttemptId, Data, TaskError};

use super::plan::Plan;

/// What an outcome holds beside the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outputs {
    /// Nothing.
    #[default]
    Last,
    /// For each actor that is linked to the stop actor, the data that it delivered there: the last good one, else the
    /// first that came from a failure. Failures that go to the stop actor directly, as a handler of the workflow, are
    /// listed under the stop actor's own name.
    Ends,
    /// Each execution of a task, in the order in which they ended, with its inputs and what it handed on or how it
    /// failed; at most [`super::Limits::outputs`], the last ones.
    All,
}

/// The data that an actor delivered to the stop actor.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Output {
    /// The actor.
    pub actor: ActorId,
    /// Its name.
    pub name: String,
    /// The data.
    pub data: Data,
}

/// One execution of a task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Execution {
    /// The actor.
    pub actor: ActorId,
    /// Its name.
    pub name: String,
    /// The attempt; `None` for an actor that runs no task (ewoks `ppfport`), and where the received data can't be the
    /// inputs of the task.
    pub attempt: Option<AttemptId>,
    /// The inputs of the task; where there are none, the data that the actor received.
    pub inputs: Data,
    /// The data that the actor handed on, or its failure.
    pub result: Result<Data, TaskError>,
}

/// The outputs of a run that has ended.
pub(super) struct CollectedOutputs {
    pub(super) outputs: Vec<Output>,
    pub(super) executions: Vec<Execution>,
    /// How many executions there were before these.
    pub(super) dropped: u64,
}

/// Collects the outputs of a run.
#[derive(Debug)]
pub(super) struct OutputCollector {
    wanted: Outputs,
    limit: usize,
    ends: BTreeMap<ActorId, Data>,
    executions: VecDeque<Execution>,
    dropped: u64,
}

impl OutputCollector {
    pub(super) fn new(wanted: Outputs, limit: usize) -> Self {
        OutputCollector { wanted, limit, ends: BTreeMap::new(), executions: VecDeque::new(), dropped: 0 }
    }

    /// Records data that reached the stop actor from the actor `from`.
    pub(super) fn reached_end(&mut self, from: ActorId, data: &Data, plan: &Plan) {
        if self.wanted == Outputs::Ends && (!self.ends.contains_key(&from) || !plan.error_keys.is_error(data)) {
            self.ends.insert(from, data.clone());
        }
    }

    /// Whether the outcome lists executions.
    pub(super) fn wants_executions(&self) -> bool {
        self.wanted == Outputs::All
    }

    /// Records an execution that ended.
    pub(super) fn executed(&mut self, execution: Execution) {
        self.executions.push_back(execution);
        if self.executions.len() > self.limit {
            self.executions.pop_front();
            self.dropped += 1;
        }
    }

    /// Takes everything that was collected.
    pub(super) fn take(&mut self, plan: &Plan) -> CollectedOutputs {
        let name = |actor| plan.actor(actor).name.clone();
        let ends = std::mem::take(&mut self.ends).into_iter();
        CollectedOutputs {
            outputs: ends.map(|(actor, data)| Output { actor, name: name(actor), data }).collect(),
            executions: std::mem::take(&mut self.executions).into(),
            dropped: self.dropped,
        }
    }
}
