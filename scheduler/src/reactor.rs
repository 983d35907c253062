//! [`Reactor`]: decides what happens next in one run of one graph, and does none of it.
//!
//! It is a pure state machine: [`Reactor::on`] takes an [`Event`] and the time, and appends [`Action`]s for the caller
//! to carry out. It owns no thread, clock, channel or file, and waits for nothing.
//!
//! # States
//!
//! - *Waiting*: made, not begun.
//! - *Running*: triggers are queued or attempts are open. A trigger is one arrival of data at an actor; an attempt is
//!   one execution of a task that was submitted and has not ended.
//!   After a soft stop tasks that would run fail instead, and the rest goes on.
//! - *Closing*: the deadline passed, a stop was asked or the run outgrew its limits. The queue is empty and stays so,
//!   each attempt that was open has been interrupted once, and the run is over when the last of them has ended.
//! - *Over*: [`Action::Finish`] was given; whatever comes now changes nothing.
//!
//! # Rules
//!
//! - Running is over when no trigger is queued and no attempt is open, not when the stop actor is reached (`parity.md`
//!   P20).
//! - Triggers wait in one queue, first in, first out. A step handles at most [`Limits::triggers_per_step`] of them and
//!   then asks to be continued, so that a cycle of forks and routers still hears the deadline. Nothing recurses per
//!   actor.
//! - Data belongs to its trigger: a result is merged with the inputs of the very attempt that gave it (P33 repaired).
//! - Every failure in an actor is that actor's failure: its error path is taken instead of its other links, and the other
//!   branches run to their end (P35). What nothing handles is listed under the actor's name and fails the run.
//! - What is kept grows with the graph and with what is under way, never with the number of rounds of a loop.
//!
//! The parts: `plan` (the graph, compiled), `merge` and `join` (how arrivals merge), `actors` (what an actor does when it
//! runs), `fan_out` and `router_ports` (which links are taken, with what), `failure` and `handlers` (the error path), `ending`
//! (errors, closing, the end), `stall` (why nothing goes on), `soft_stop`, `rounds`,
//! `retry` and `outputs` (what a run may be asked for) and `message` (events and actions).

mod actors;
mod closing;
mod ending;
mod error_data;
mod error_log;
mod failure;
mod fan_out;
mod handlers;
mod in_flight;
mod join;
mod links;
mod merge;
mod message;
mod missing_data;
mod outputs;
mod phase;
mod plan;
mod retry;
mod rounds;
mod router_ports;
mod soft_stop;
mod stall;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use pushflow_graph::{ActorId, Graph, Retries};
use pushflow_protocol::AttemptId;
use pushflow_value::Data;

pub use ending::{ActorError, Ending, EndingKind};
pub use message::{Action, Counts, Event, Limits};
pub use outputs::{Execution, Output, Outputs};

use error_log::ErrorLog;
use in_flight::InFlight;
use links::Delivery;
use merge::{InputState, Ready};
use outputs::OutputCollector;
use phase::{Phase, SoftStop};
use plan::Plan;
use rounds::Rounds;

/// The state machine of one run; see the module for its states and rules.
#[derive(Debug)]
pub struct Reactor {
    plan: Arc<Plan>,
    limits: Limits,
    phase: Phase,
    queue: VecDeque<Trigger>,
    /// One per actor that keeps arrivals ([`Plan::stateful_actors`]).
    input_states: Vec<InputState>,
    /// Ordered, so that interrupts go out in the order of submission.
    open: BTreeMap<AttemptId, InFlight>,
    /// Whether the caller owes an [`Event::Continue`].
    continue_asked: bool,
    counts: Counts,
    result: Option<Data>,
    status: Option<String>,
    errors: ErrorLog,
    outputs: OutputCollector,
    rounds: Rounds,
    soft_stop: Option<SoftStop>,
    retries: HashMap<ActorId, Retries>,
}

/// One arrival of data at an actor.
#[derive(Debug)]
struct Trigger {
    target: ActorId,
    delivery: Delivery,
    data: Data,
}

/// What one call of [`Reactor::on`] works with, beside the state.
struct Step<'a> {
    plan: &'a Plan,
    now: Duration,
    actions: &'a mut Vec<Action>,
}

impl Reactor {
    /// A run of `graph` that begins with `inputs` and has not begun.
    pub fn new(graph: Arc<Graph>, inputs: Data, limits: Limits) -> Self {
        let plan = Plan::new(graph);
        Reactor {
            rounds: Rounds::new(plan.graph(), limits.max_rounds),
            input_states: plan.input_states(),
            limits,
            phase: Phase::Waiting { inputs },
            queue: VecDeque::new(),
            open: BTreeMap::new(),
            continue_asked: false,
            counts: Counts::default(),
            result: None,
            status: None,
            errors: ErrorLog::new(limits.errors),
            outputs: OutputCollector::new(Outputs::default(), limits.outputs),
            soft_stop: None,
            retries: plan.graph().retries().collect(),
            plan: Arc::new(plan),
        }
    }

    /// The same run, whose ending has these outputs.
    #[must_use]
    pub fn with_outputs(mut self, wanted: Outputs) -> Self {
        self.outputs = OutputCollector::new(wanted, self.limits.outputs);
        self
    }

    /// What has been counted so far.
    pub fn counts(&self) -> Counts {
        Counts { open: self.open.len(), queued: self.queue.len(), ..self.counts }
    }

    /// Takes in one event and appends to `actions` what is to be done about it, in this order.
    ///
    /// `now` is the time since any fixed moment, and never goes back. The last action of a run is [`Action::Finish`].
    pub fn on(&mut self, event: Event, now: Duration, actions: &mut Vec<Action>) {
        let plan = Arc::clone(&self.plan);
        let mut step = Step { plan: &plan, now, actions };
        self.handle_event(event, &mut step);
        self.process_queue(&mut step);
        self.conclude(&mut step);
    }

    fn handle_event(&mut self, event: Event, step: &mut Step<'_>) {
        match event {
            Event::Begin => self.begin(step),
            Event::Finished { attempt, result } => self.attempt_finished(attempt, result, step),
            Event::Failed { attempt, error } => self.attempt_failed(attempt, error, step),
            Event::Deadline => self.close(EndingKind::TimedOut, step),
            Event::SoftStopAsked { reason } => self.stop_softly(reason),
            Event::StopAsked { reason } => self.close(EndingKind::Stopped { reason }, step),
            Event::Continue => self.continue_asked = false,
        }
    }

    fn begin(&mut self, step: &mut Step<'_>) {
        let Phase::Waiting { inputs } = &mut self.phase else {
            self.counts.ignored += 1;
            return;
        };
        let data = std::mem::take(inputs);
        self.phase = Phase::Running;
        if let Some(target) = step.plan.graph().start() {
            self.queue.push_back(Trigger { target, delivery: Delivery::Direct, data });
        }
    }

    fn process_queue(&mut self, step: &mut Step<'_>) {
        for _ in 0..self.limits.triggers_per_step.max(1) {
            let Some(trigger) = self.queue.pop_front() else { return };
            self.counts.triggers += 1;
            let actor = trigger.target;
            self.arrive(trigger, step);
            if self.under_way() > self.limits.under_way {
                self.fail_too_many_triggers(actor, step);
            }
        }
    }

    /// One arrival: runs its target if the target now has what it needs.
    fn arrive(&mut self, Trigger { target, delivery, data }: Trigger, step: &mut Step<'_>) {
        let slot = match delivery {
            Delivery::Direct => return self.run(target, data, step),
            Delivery::End(from) => return self.reach_stop(from, target, data, step),
            Delivery::Kept(slot) => slot,
        };
        let state = &mut self.input_states[step.plan.input_state_index(target)];
        let waiting = state.waiting();
        let ready = state.arrive(slot, data);
        self.counts.buffered = self.counts.buffered + state.waiting() - waiting;
        match ready {
            Ready::NotYet => {}
            Ready::Once(inputs) => self.run(target, inputs, step),
            Ready::Each(runs) => {
                for data in runs.into_iter().rev() {
                    self.queue.push_front(Trigger { target, delivery: Delivery::Direct, data });
                }
            }
        }
    }

    /// Everything that takes memory because it has yet to happen or to end.
    fn under_way(&self) -> usize {
        self.queue.len() + self.open.len() + self.counts.buffered
    }

    fn conclude(&mut self, step: &mut Step<'_>) {
        match self.phase {
            Phase::Waiting { .. } | Phase::Over => {}
            Phase::Running | Phase::Closing(_) if self.queue.is_empty() => {
                if self.open.is_empty() {
                    self.finish(step);
                }
            }
            Phase::Running | Phase::Closing(_) => {
                if !std::mem::replace(&mut self.continue_asked, true) {
                    step.actions.push(Action::Continue);
                }
            }
        }
    }
}
