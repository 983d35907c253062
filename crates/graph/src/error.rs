//! [`GraphError`]: why a graph can't be built or run.

/// Why a graph can't be built or run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// Two actors have one name.
    #[error("there are two actors named {0:?}: give each a name of its own")]
    DuplicateName(String),
    /// A second start or stop actor.
    #[error("the graph already has a {kind} actor, {first:?}: connect to that one instead of adding {second:?}")]
    SecondStartOrStop {
        /// "start" or "stop".
        kind: &'static str,
        /// The name of the actor that the graph has.
        first: String,
        /// The name of the actor that was to be added.
        second: String,
    },
    /// The id of an actor of another graph.
    #[error(
        "{what} is not an actor of graph {graph:?}: pass an id that this graph gave when the actor was added to it"
    )]
    ForeignActor {
        /// What the id was for, such as `the source of the link to "a"`.
        what: String,
        /// The name of the graph that was asked.
        graph: String,
    },
    /// A link, a setting, an error handler or a submodel that its actor or graph can't have; the text says which and
    /// why.
    #[error("{0}")]
    Misplaced(String),
    /// A port that the router does not have.
    #[error("port {port} is not defined for router actor {router:?}; it has {ports}")]
    UnknownPort {
        /// The router's name.
        router: String,
        /// The port asked for.
        port: String,
        /// The ports that it has.
        ports: String,
    },
    /// A link out of a router, without a port.
    #[error("a link out of router actor {router:?} needs a port; it has {ports}")]
    MissingPort {
        /// The router's name.
        router: String,
        /// The ports that it has.
        ports: String,
    },
    /// A link with a port, out of an actor that is no router.
    #[error("the link out of actor {actor:?} has port {port}, but only a router has ports")]
    PortWithoutRouter {
        /// The name of the link's source.
        actor: String,
        /// The port asked for.
        port: String,
    },
    /// A join that less than two links enter.
    #[error(
        "join actor {join:?} has {links} incoming {what}, but joins two or more: connect the others, or leave it out",
        what = if *links == 1 { "link" } else { "links" }
    )]
    JoinTooFewLinks {
        /// The name of the join.
        join: String,
        /// The number of links that enter it.
        links: usize,
    },
    /// A port that a submodel does not have.
    #[error("submodel {submodel:?} has no port {port:?}; it has {ports}{hint}")]
    UnknownSubmodelPort {
        /// The name of the submodel.
        submodel: String,
        /// The port asked for.
        port: String,
        /// The ports that it has.
        ports: String,
        /// The port that was probably meant, as the end of a sentence; empty if none is near.
        hint: String,
    },
    /// A start or stop actor is missing.
    #[error("the graph has no {kind} actor: add one, so that a run knows where to {verb}", verb = verb(kind))]
    MissingStartOrStop {
        /// "start" or "stop".
        kind: &'static str,
    },
}

fn verb(kind: &str) -> &'static str {
    if kind == "start" { "begin" } else { "end" }
}
