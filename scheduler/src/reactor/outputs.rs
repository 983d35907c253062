//! [`Outputs`]: what a run keeps for its outcome beside the result (`parity.md` P56, P151).

use std::collections::{BTreeMap, VecDeque};

use pushflow_graph::ActorId;
use pushflow_value::Data;

use super::failure::is_error;
use super::plan::Plan;

/// What an outcome holds beside the result, which is always there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outputs {
    /// Nothing.
    #[default]
    Last,
    /// For each actor that is linked to the stop actor: what it delivered there, by the rule of the result: the last good
    /// one, else the first that came from a failure. What a workflow's error handlers deliver there directly is under the
    /// stop actor's own name.
    Ends,
    /// What each execution of a task handed on, in the order in which they ended; at most [`super::Limits::outputs`], the
    /// last ones. Executions that failed handed nothing on.
    All,
}

/// What an actor handed on.
#[derive(Clone, Debug)]
pub struct Output {
    /// Which one.
    pub actor: ActorId,
    /// Its name.
    pub name: String,
    /// What it handed on.
    pub data: Data,
}

/// What has been kept so far.
#[derive(Debug)]
pub(super) struct Kept {
    wanted: Outputs,
    limit: usize,
    ends: BTreeMap<ActorId, Data>,
    executions: VecDeque<(ActorId, Data)>,
    dropped: u64,
}

impl Kept {
    pub(super) fn new(wanted: Outputs, limit: usize) -> Self {
        Kept { wanted, limit, ends: BTreeMap::new(), executions: VecDeque::new(), dropped: 0 }
    }

    /// Something reached the stop actor from there.
    pub(super) fn reached_end(&mut self, from: ActorId, data: &Data, plan: &Plan) {
        if self.wanted == Outputs::Ends && (!self.ends.contains_key(&from) || !is_error(data, plan)) {
            self.ends.insert(from, data.clone());
        }
    }

    /// A task handed something on.
    pub(super) fn executed(&mut self, actor: ActorId, data: &Data) {
        if self.wanted != Outputs::All {
            return;
        }
        self.executions.push_back((actor, data.clone()));
        if self.executions.len() > self.limit {
            self.executions.pop_front();
            self.dropped += 1;
        }
    }

    /// All of it, and how much had to be dropped.
    pub(super) fn take(&mut self, plan: &Plan) -> (Vec<Output>, u64) {
        let name = |actor| plan.actor(actor).name.clone();
        let ends = std::mem::take(&mut self.ends).into_iter();
        let outputs = ends.chain(std::mem::take(&mut self.executions));
        (outputs.map(|(actor, data)| Output { actor, name: name(actor), data }).collect(), self.dropped)
    }
}
