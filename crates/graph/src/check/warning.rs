//! [`Warning`]: what [`Graph::check`](crate::Graph::check) reports.

use std::fmt;

use crate::ActorId;

/// Something in a graph that looks like a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// The kind of mistake.
    pub kind: WarningKind,
    /// The actor that the warning is about; `None` for the whole graph.
    pub actor: Option<ActorId>,
    /// One sentence: what looks wrong, with the names of the actors, and what to do.
    pub message: String,
}

/// The kinds of mistakes that [`Graph::check`](crate::Graph::check) looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WarningKind {
    /// The graph has no start actor or no stop actor, and can't run.
    MissingStartOrStop,
    /// No link and no error handler leads from the start actor to the actor.
    Unreachable,
    /// A join with a link that can never deliver.
    JoinNeverFires,
    /// A cycle that only a failure, a limit or the deadline ends.
    UnconditionalCycle,
    /// Several branches of one run reach the stop actor, and the result of the slowest one counts.
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
