//! [`Outputs`]: what a run keeps for its outcome beside the result (`parity.md` P56, P151).

use std::collections::{BTreeMap, VecDeque};

use pushflow_graph::ActorId;
use pushflow_protocol::{AttemptId, TaskError};
use pushflow_value::Data;

use super::plan::Plan;

/// What an outcome holds beside the result, which is always there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outputs {
    /// Nothing.
    #[default]
    Last,
    /// For each actor that is linked to the stop actor: what it delivered there, by the rule of the result: the last good
    /// one, else the first that came from a failure. What a workflow's error handlers deliver there directly is under the
    /// stop actor's own name.
    Ends,
    /// Each execution of a task, in the order in which they ended, with its inputs and what it handed on or how it failed;
    /// at most [`super::Limits::outputs`], the last ones.
    All,
}

/// What an actor delivered at the stop actor.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Output {
    /// Which one.
    pub actor: ActorId,
    /// Its name.
    pub name: String,
    /// What it delivered.
    pub data: Data,
}

/// One execution of a task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Execution {
    /// Whose task.
    pub actor: ActorId,
    /// Its name.
    pub name: String,
    /// The attempt; none for what runs no task (ewoks `ppfport`) and for inputs that are no task's.
    pub attempt: Option<AttemptId>,
    /// What the task got; what the actor got, where that is no input for its task.
    pub inputs: Data,
    /// What was handed on, or how it failed.
    pub result: Result<Data, TaskError>,
}

/// What a run has kept for its outcome.
pub(super) struct CollectedOutputs {
    pub(super) outputs: Vec<Output>,
    pub(super) executions: Vec<Execution>,
    /// How many executions there were before these.
    pub(super) dropped: u64,
}

/// What has been kept so far.
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

    /// Something reached the stop actor from there.
    pub(super) fn reached_end(&mut self, from: ActorId, data: &Data, plan: &Plan) {
        if self.wanted == Outputs::Ends && (!self.ends.contains_key(&from) || !plan.error_keys.is_error(data)) {
            self.ends.insert(from, data.clone());
        }
    }

    /// Whether executions are kept.
    pub(super) fn wants_executions(&self) -> bool {
        self.wanted == Outputs::All
    }

    /// An execution ended.
    pub(super) fn executed(&mut self, execution: Execution) {
        self.executions.push_back(execution);
        if self.executions.len() > self.limit {
            self.executions.pop_front();
            self.dropped += 1;
        }
    }

    /// All of it, and how much had to be dropped.
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
