//! [`DeadEnds`]: which actors took none of their links, and why no end of the graph was reached.
//!
//! A run of an ewoks graph that reaches no end has finished all the same (`docs/parity.md` P147): its branches ended at
//! conditions that did not hold, or at actors that wait for a required link. This file tells which ones. Its memory
//! grows with the graph, not with the number of rounds.

use std::collections::BTreeMap;

use pushflow_graph::{ActorId, Condition, Test};
use pushflow_model::{Data, Value};

use super::Reactor;
use super::links::{Delivery, InputSlot, OutLink};
use super::merge::InputState;
use super::plan::Plan;

/// How many links of one actor, and how many sentences, an explanation has.
const NAMED: usize = 5;
/// How many characters of a value a sentence shows.
const SHOWN: usize = 40;

/// The actors whose last execution took none of their links, each with the reasons of the first links.
#[derive(Debug, Default)]
pub(super) struct DeadEnds(BTreeMap<ActorId, Vec<String>>);

impl DeadEnds {
    /// Keeps that an execution of an actor with these outputs took some of its links, or none.
    pub(super) fn note(&mut self, actor: ActorId, took_some: bool, out_links: &[OutLink], outputs: &Data, plan: &Plan) {
        if took_some {
            if !self.0.is_empty() {
                self.0.remove(&actor);
            }
        } else {
            let reasons = out_links.iter().take(NAMED).filter_map(|link_out| reason(link_out, outputs, plan));
            self.0.insert(actor, reasons.collect());
        }
    }
}

impl Reactor {
    /// Why a run that has nothing left to do has reached no end, in clauses; empty if it has reached one.
    pub(super) fn no_end_reasons(&self, plan: &Plan) -> Vec<String> {
        if self.result.is_some() {
            return Vec::new();
        }
        let name = |actor: ActorId| &plan.actor(actor).name;
        let stopped = |(&actor, reasons): (&ActorId, &Vec<String>)| {
            format!("{:?} took none of its links: {}", name(actor), reasons.join(", "))
        };
        let mut clauses: Vec<String> = self.waiting_merges(plan);
        clauses.extend(self.dead_ends.0.iter().map(stopped));
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
        let mut clauses = Vec::new();
        for (&actor, state) in plan.stateful_actors().iter().zip(&self.input_states) {
            let InputState::Merge(merge) = state else { continue };
            if !merge.has_some() {
                continue;
            }
            let missing = |&(link, source): &(_, ActorId)| {
                let links = plan.out_links(source).iter().chain(plan.error_links(source));
                let slot =
                    links.filter(|link_out| link_out.link == link).find_map(|link_out| match link_out.delivery {
                        Delivery::Kept(InputSlot::Required(slot)) => Some(slot),
                        _ => None,
                    });
                slot.is_some_and(|slot| !merge.has_required(slot))
            };
            let sources = plan.graph().incoming(actor).into_iter().filter(missing);
            let sources: Vec<String> = sources.map(|(_, source)| format!("{:?}", plan.actor(source).name)).collect();
            if !sources.is_empty() {
                clauses.push(format!("{:?} waits for {}", plan.actor(actor).name, sources.join(" and ")));
            }
        }
        clauses
    }
}

/// Why a link was not taken: the first of its conditions that does not hold.
fn reason(link_out: &OutLink, outputs: &Data, plan: &Plan) -> Option<String> {
    let conditions = &plan.graph().link(link_out.link).conditions;
    let unmet = conditions.iter().find(|condition| !condition.holds(outputs).unwrap_or(true))?;
    let Condition { output, test, .. } = unmet;
    let target = &plan.actor(link_out.target).name;
    let wanted = match test {
        Test::Equals(value) => shown(value),
        _ => "another value than the conditions of the other links name".to_owned(),
    };
    Some(match outputs.value(output).ok().flatten() {
        Some(value) => format!("that to {target:?} needs {output:?} to be {wanted}, and it is {}", shown(value)),
        None => format!("that to {target:?} needs an output {output:?}, and there is none of that name"),
    })
}

/// A value as JSON, shortened.
fn shown(value: &Value) -> String {
    let text = value.to_json().map_or_else(|_| value.type_name().to_owned(), |json| json.to_string());
    match text.char_indices().nth(SHOWN) {
        None => text,
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}
