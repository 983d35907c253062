//! Why a run of an ewoks graph reached no end.
//!
//! Such a run has finished all the same (`docs/parity.md` P147): its branches ended at conditions that did not hold, or at
//! actors that wait for a required link. This file says which ones.

use std::collections::HashMap;

use pushflow_graph::{ActorId, LinkId};

use super::Reactor;
use super::links::{Delivery, InputSlot};
use super::merge::InputState;
use super::plan::Plan;

/// How many clauses an explanation has.
const NAMED: usize = 5;

impl Reactor {
    /// Why a run that has nothing left to do has reached no end, in clauses; empty if it has reached one.
    pub(super) fn no_end_reasons(&self, plan: &Plan) -> Vec<String> {
        if self.result.is_some() {
            return Vec::new();
        }
        let name = |actor: ActorId| &plan.actor(actor).name;
        let stopped = |(actor, reasons): (ActorId, &[String])| {
            format!("{:?} took none of its links: {}", name(actor), reasons.join(", "))
        };
        let mut clauses: Vec<String> = self.waiting_merges(plan);
        clauses.extend(self.dead_ends.all().map(stopped));
        let more = clauses.len().saturating_sub(NAMED);
        clauses.truncate(NAMED);
        if more > 0 {
            clauses.push(format!("and {more} more"));
        }
        if clauses.is_empty() && plan.graph().tasks().next().is_none() {
            clauses.push("the graph has no nodes that run a task".to_owned());
        }
        clauses
    }

    /// One clause for each actor that has some of its inputs and waits for required links that never delivered.
    fn waiting_merges(&self, plan: &Plan) -> Vec<String> {
        let graph = plan.graph();
        let out_links = graph.actors().flat_map(|(id, _)| plan.out_links(id).iter().chain(plan.error_links(id)));
        let slots: HashMap<LinkId, u32> = out_links
            .filter_map(|link_out| match link_out.delivery {
                Delivery::Kept(InputSlot::Required(slot)) => Some((link_out.link, slot)),
                _ => None,
            })
            .collect();
        let mut clauses = Vec::new();
        for (&actor, state) in plan.stateful_actors().iter().zip(&self.input_states) {
            let InputState::Merge(merge) = state else { continue };
            if !merge.has_some() {
                continue;
            }
            let is_missing = |link: &LinkId| slots.get(link).is_some_and(|&slot| !merge.has_required(slot));
            let missing = graph.incoming(actor).into_iter().filter(|(link, _)| is_missing(link));
            let sources: Vec<String> = missing.map(|(_, source)| format!("{:?}", plan.actor(source).name)).collect();
            if !sources.is_empty() {
                clauses.push(format!("{:?} waits for {}", plan.actor(actor).name, sources.join(" and ")));
            }
        }
        clauses
    }
}
