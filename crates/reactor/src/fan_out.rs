//! Fan-out: which links out of an actor are taken, and with what data.
//!
//! A link is taken when all its conditions hold. The links of one execution are taken together or not at all: when a
//! condition can't decode its output, or a mapping names a missing output, the source fails and triggers nothing.

use std::collections::VecDeque;

use pushflow_graph::{FieldMap, Link, Mapping};
use pushflow_model::{Data, ErrorKind, TaskError};

use super::Trigger;
use super::links::OutLink;
use super::plan::Plan;

/// How many outputs a message lists.
const LISTED: usize = 20;

/// The data that an actor hands on.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// The data of the links.
    pub(super) data: Data,
    /// The data that conditions look at, where that is not `data`: the entries of the travelling dictionary.
    pub(super) seen: Option<Data>,
}

impl From<Data> for Outgoing {
    fn from(data: Data) -> Self {
        Outgoing { data, seen: None }
    }
}

/// Why an actor can't hand its data on, with that data.
#[derive(Debug)]
pub(super) struct FanOutError {
    pub(super) error: TaskError,
    pub(super) data: Data,
}

/// Queues a trigger for each link that is taken.
pub(super) fn fan_out(
    plan: &Plan,
    out_links: &[OutLink],
    outgoing: Outgoing,
    queue: &mut VecDeque<Trigger>,
) -> Result<(), Box<FanOutError>> {
    if let [only] = out_links
        && only.plain
    {
        queue.push_back(Trigger { target: only.target, delivery: only.delivery, data: outgoing.data });
        return Ok(());
    }
    let before = queue.len();
    let taken = out_links.iter().try_for_each(|link_out| {
        if let Some(data) = travelling(plan, link_out, &outgoing)? {
            queue.push_back(Trigger { target: link_out.target, delivery: link_out.delivery, data });
        }
        Ok(())
    });
    taken.map_err(|error| {
        queue.truncate(before);
        Box::new(FanOutError { error, data: outgoing.data })
    })
}

/// The data for the target of one link; `None` if the link is not taken.
fn travelling(plan: &Plan, link_out: &OutLink, outgoing: &Outgoing) -> Result<Option<Data>, TaskError> {
    if link_out.plain {
        return Ok(Some(outgoing.data.clone()));
    }
    let link = plan.graph().link(link_out.link);
    let target = || plan.actor(link_out.target).name.as_str();
    if !is_taken(link, outgoing.seen.as_ref().unwrap_or(&outgoing.data), target)? {
        return Ok(None);
    }
    match &link.mapping {
        Mapping::All => Ok(Some(outgoing.data.clone())),
        Mapping::Fields(fields) => mapped(fields, &outgoing.data, target).map(Some),
    }
}

fn is_taken<'a>(link: &Link, outputs: &Data, target: impl Fn() -> &'a str) -> Result<bool, TaskError> {
    for condition in &link.conditions {
        let holds = condition.holds(outputs).map_err(|error| {
            bad_result(format!(
                "the condition of the link to {:?} can't look at the output {:?}: {error}",
                target(),
                condition.output
            ))
        })?;
        if !holds {
            return Ok(false);
        }
    }
    Ok(true)
}

fn mapped<'a>(fields: &[FieldMap], outputs: &Data, target: impl Fn() -> &'a str) -> Result<Data, TaskError> {
    let entry = |field: &FieldMap| match outputs.payload(&field.source) {
        Some(payload) => Ok((field.target.clone(), payload.clone())),
        None => Err(bad_result(format!(
            "the link to {:?} takes the output \"{}\", which is not among the outputs ({}): correct its data mapping",
            target(),
            field.source,
            listed(outputs)
        ))),
    };
    fields.iter().map(entry).collect()
}

fn listed(outputs: &Data) -> String {
    let mut names: Vec<String> = outputs.iter().take(LISTED).map(|(key, _)| format!("\"{key}\"")).collect();
    match outputs.len() {
        0 => names.push("there are none".to_owned()),
        more if more > LISTED => names.push(format!("and {} more", more - LISTED)),
        _ => {}
    }
    names.join(", ")
}

fn bad_result(message: String) -> TaskError {
    TaskError::new(ErrorKind::BadResult, message)
}
