//! [`Warning`]: what [`Graph::check`](crate::Graph::check) reports.

use std::fmt;

use crate::ActorId;

/// Something that looks like a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// What.
    pub kind: WarningKind,
    /// The actor it is about; none for the whole graph.
    pub actor: Option<ActorId>,
    /// One sentence: what, with the names of the actors, and what to do.
    pub message: String,
}

/// What looks like a mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WarningKind {
    /// There is no start actor or no stop actor: the graph can't run.
    MissingStartOrStop,
    /// Nothing leads to the actor.
    Unreachable,
    /// A join that can't have an arrival of each of its links.
    JoinNeverFires,
    /// A cycle that nothing but a failure, a limit or the deadline ends.
    UnconditionalCycle,
    /// Several branches of one run reach the stop actor, and the last one counts, whichever that is.
    RacingEnds,
    /// A condition on an output that the task of its source never has.
    ConditionNeverHolds,
    /// A port that no link enters or leaves.
    PortWithoutLink,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
