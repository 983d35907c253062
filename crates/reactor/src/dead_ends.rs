//! [`DeadEnds`]: which actors took none of their links, and why. Its memory grows with the graph, not with the number of
//! rounds.

use std::collections::BTreeMap;

use pushflow_graph::{ActorId, Condition, Test};
use pushflow_model::{Data, Value};

use super::links::OutLink;
use super::plan::Plan;

/// How many links of one actor are explained.
const NAMED: usize = 5;
/// How many bytes a text may have that a sentence shows.
const SHOWN: usize = 40;

/// The actors whose last execution took none of their links, each with the reasons of the first links.
#[derive(Debug, Default)]
pub(super) struct DeadEnds(BTreeMap<ActorId, Vec<String>>);

impl DeadEnds {
    /// These actors, each with its reasons.
    pub(super) fn all(&self) -> impl Iterator<Item = (ActorId, &[String])> {
        self.0.iter().map(|(&actor, reasons)| (actor, &reasons[..]))
    }

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

/// A short value as JSON; the type of any other, whose text may be long.
fn shown(value: &Value) -> String {
    let is_short = match value {
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => true,
        Value::Str(text) => text.len() <= SHOWN,
        _ => false,
    };
    let json = if is_short { value.to_json().ok() } else { None };
    json.map_or_else(|| value.type_name().to_owned(), |json| json.to_string())
}
