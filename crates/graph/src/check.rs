//! [`Graph::check`]: warnings about a graph that can run, but looks wrong.
//!
//! The checks see the actors and links, and no data. Where conditions or values decide they stay silent, so that a
//! graph without a warning may still stall or run in circles for ever.

mod conditions;
mod cycles;
mod races;
mod reachability;
mod warning;

use reachability::Reachability;

use crate::{ActorKind, Graph, Port};
pub use warning::{Warning, WarningKind};

impl Graph {
    /// The warnings about this graph, kind by kind, each kind in the order of the actors.
    ///
    /// Time and memory are proportional to the size of the graph. In graphs of more than 50,000 links the checks leave
    /// out ends that race and joins that wait for themselves.
    ///
    /// ```
    /// use pushflow_graph::{Graph, Link, WarningKind};
    ///
    /// let mut graph = Graph::new("lonely");
    /// let (start, stop) = (graph.add_start("Start")?, graph.add_stop("Stop")?);
    /// graph.connect(start, stop, Link::direct())?;
    /// graph.add_fork("fork")?;
    /// let warnings = graph.check();
    /// assert_eq!(warnings[0].kind, WarningKind::Unreachable);
    /// assert_eq!(warnings[0].to_string(), "nothing leads to actor \"fork\": connect it, or leave it out");
    /// # Ok::<(), pushflow_graph::GraphError>(())
    /// ```
    pub fn check(&self) -> Vec<Warning> {
        let mut warnings = self.missing_ends();
        let reachability = Reachability::of(self);
        if self.start().is_some() {
            self.warn_of_unreachable(&reachability, &mut warnings);
            reachability::warn_of_joins(self, &reachability, &mut warnings);
            races::warn_of_races(self, &reachability, &mut warnings);
        }
        conditions::warn_of_conditions(self, &mut warnings);
        cycles::warn_of_cycles(self, &mut warnings);
        self.warn_of_ports(&mut warnings);
        warnings
    }

    fn missing_ends(&self) -> Vec<Warning> {
        let message = |kind| crate::GraphError::MissingStartOrStop { kind }.to_string();
        let missing = [("start", self.start()), ("stop", self.stop())].into_iter().filter(|(_, end)| end.is_none());
        missing
            .map(|(kind, _)| Warning { kind: WarningKind::MissingStartOrStop, actor: None, message: message(kind) })
            .collect()
    }

    fn warn_of_unreachable(&self, reachability: &Reachability, warnings: &mut Vec<Warning>) {
        for (id, actor) in self.actors().filter(|(id, _)| !reachability.reaches(*id)) {
            let what = if matches!(actor.kind, ActorKind::Stop) { "stop actor" } else { "actor" };
            let advice = if what == "actor" { ", or leave it out" } else { ", so that a run has a result" };
            let message = format!("nothing leads to {what} {:?}: connect it{advice}", actor.name);
            warnings.push(Warning { kind: WarningKind::Unreachable, actor: Some(id), message });
        }
    }

    fn warn_of_ports(&self, warnings: &mut Vec<Warning>) {
        let mut warn = |actor, message| {
            warnings.push(Warning { kind: WarningKind::PortWithoutLink, actor: Some(actor), message });
        };
        for (id, actor) in self.actors() {
            match &actor.kind {
                ActorKind::Port if self.outgoing(id).is_empty() => warn(
                    id,
                    format!(
                        "no link leaves port {:?}: what enters it is lost; connect it, or leave it out",
                        actor.name
                    ),
                ),
                ActorKind::Port if self.incoming(id).is_empty() => warn(
                    id,
                    format!(
                        "no link enters port {:?}: nothing ever leaves it; connect it, or leave it out",
                        actor.name
                    ),
                ),
                ActorKind::Router(router) => {
                    let linked: Vec<_> =
                        self.outgoing(id).into_iter().filter_map(|(link, _)| self.link(link).port.clone()).collect();
                    let other = linked.contains(&Port::Other);
                    for port in router.ports.iter().map(|value| Port::from(value.clone())) {
                        if !linked.contains(&port) && port != Port::Other {
                            let where_to = if other { "goes to the port \"other\"" } else { "makes it fail" };
                            warn(
                                id,
                                format!(
                                    "no link leaves router {:?} from its port {port}: that value {where_to}; connect the \
                                     port, or leave it out",
                                    actor.name
                                ),
                            );
                        }
                    }
                }
                _ => {}
            }
        }
    }
}
