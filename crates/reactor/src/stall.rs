//! Why a run has stalled: nothing reached the stop actor, or a join waits for other actors.

use pushflow_graph::Origin;

use super::Reactor;
use super::join::Join;
use super::merge::InputState;
use super::plan::Plan;

/// How many joins an explanation names.
const NAMED: usize = 20;

impl Reactor {
    /// Why a run with nothing left to do has stalled, one sentence each; empty if it has not.
    pub(super) fn stall_reasons(&self, plan: &Plan) -> Vec<String> {
        if plan.graph().origin() != Origin::Code {
            return Vec::new();
        }
        let joins = self.waiting_joins(plan);
        match (&self.result, joins.is_empty()) {
            (None, true) => vec!["nothing reached the stop actor".to_owned()],
            // A branch whose failure was handled does not deliver to its join; its handler decides what happens
            // instead.
            (Some(_), _) if self.errors.handled_count > 0 => Vec::new(),
            _ => joins,
        }
    }

    /// One sentence for each join that keeps an arrival and waits for others.
    pub fn waiting(&self) -> Vec<String> {
        self.waiting_joins(&self.plan)
    }

    /// One sentence for each join that keeps an arrival, with the actors that it waits for.
    pub(super) fn waiting_joins(&self, plan: &Plan) -> Vec<String> {
        let mut sentences: Vec<String> = Vec::new();
        let mut more = 0;
        for (&actor, state) in plan.stateful_actors().iter().zip(&self.input_states) {
            match state {
                InputState::Join(join) if join.kept() > 0 && sentences.len() < NAMED => {
                    let sources = plan.graph().incoming(actor).into_iter().map(|(_, source)| &plan.actor(source).name);
                    sentences.push(sentence(&plan.actor(actor).name, join, sources));
                }
                InputState::Join(join) if join.kept() > 0 => more += 1,
                _ => {}
            }
        }
        if more > 0 {
            sentences.push(format!("and {more} more joins wait"));
        }
        sentences
    }
}

fn sentence<'a>(name: &str, join: &Join, sources: impl Iterator<Item = &'a String>) -> String {
    let mut missing: Vec<String> = Vec::new();
    let mut there: Vec<String> = Vec::new();
    for (source, waiting) in sources.zip(join.waiting()) {
        match waiting {
            0 => missing.push(format!("{source:?}")),
            1 => there.push(format!("{source:?}")),
            several => there.push(format!("{source:?} ({several} times)")),
        }
    }
    let (missing, there) = (missing.join(" and "), there.join(" and "));
    format!("join {name:?} waits for {missing}, and has what came from {there}")
}
