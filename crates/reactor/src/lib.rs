//! [`Reactor`]: decides what happens next in one run of one graph, and carries nothing out itself.
//!
//! The reactor is a pure state machine: [`Reactor::on`] takes an [`Event`] and the time, and appends [`Action`]s for
//! its caller to carry out. It owns no thread, clock, channel or file, and waits for nothing.
//!
//! # Phases
//!
//! - *Waiting*: the reactor was made, and the run has not begun.
//! - *Running*: triggers are queued or attempts are in flight. A trigger is one arrival of data at an actor. An attempt
//!   is one execution of a task; it is in flight from its submission to its end. After a soft stop, a task that would
//!   run fails instead, and everything else goes on.
//! - *Closing*: the deadline passed, a stop was asked for, or the run exceeded its limits. The queue is empty and stays
//!   empty. Each attempt in flight has been interrupted once. The run is over when the last of them has ended.
//! - *Over*: the reactor has given [`Action::Finish`]. Later events change nothing.
//!
//! # Rules
//!
//! - A run is over when no trigger is queued and no attempt is in flight, not when the stop actor is reached
//!   (`docs/parity.md` P20).
//! - Triggers wait in one queue, first in, first out. A step handles at most [`Limits::triggers_per_step`] of them and
//!   then asks its caller for an [`Event::Continue`], so that the deadline also ends a cycle of forks and routers. No
//!   function recurses per actor.
//! - Data belongs to its trigger: the result of an attempt is merged with the inputs of that attempt (`docs/parity.md`
//!   P33 repaired).
//! - Every failure in an actor is that actor's failure. The actor takes its error path instead of its other links, and
//!   the other branches run to their end (`docs/parity.md` P35). A failure that no handler takes is listed under the
//!   actor's name, and the run fails.
//! - The memory of a reactor grows with the graph and with what is in flight, never with the number of rounds of a
//!   loop.
//!
//! # Files, from the bottom up
//!
//! - `message`, `ending`: events and actions, and how a run ends;
//! - `plan` with `links`, `router_ports` and `handlers`: the graph, compiled;
//! - `merge` and `join`: what an actor keeps of its arrivals;
//! - `phase`, `in_flight`, `error_log`, `error_data`, `outputs`, `rounds`, `missing_data`: the other parts of the
//!   state;
//! - `fan_out`: which links are taken, and with what data;
//! - `actors`, `failure`, `retry`, `soft_stop`, `closing`, `stall`: the steps of a run, as methods of [`Reactor`].

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

use error_log::ErrorLog;
use in_flight::InFlight;
use links::Delivery;
use merge::{InputState, Ready};
use outputs::OutputCollector;
use phase::{Phase, SoftStop};
use plan::Plan;
use pushflow_graph::{ActorId, Graph, Retries};
use pushflow_model::{AttemptId, Data};
use rounds::Rounds;

pub use ending::{ActorError, Ending, EndingKind};
pub use message::{Action, Counts, Event, Limits};
pub use outputs::{Execution, Output, Outputs};

/// The state machine of one run; see the module for its phases and rules.
#[derive(Debug)]
pub struct Reactor {
    plan: Arc<Plan>,
    limits: Limits,
    phase: Phase,
    queue: VecDeque<Trigger>,
    /// One for each actor that keeps arrivals, in the order of [`Plan::stateful_actors`].
    input_states: Vec<InputState>,
    /// The attempts in flight, ordered, so that interrupts go out in the order of submission.
    open: BTreeMap<AttemptId, InFlight>,
    /// Whether the caller was asked for an [`Event::Continue`] and has not sent it.
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

/// The arguments of one call of [`Reactor::on`], with the plan, which stays borrowed while the reactor changes.
struct Step<'a> {
    plan: &'a Plan,
    now: Duration,
    actions: &'a mut Vec<Action>,
}

impl Reactor {
    /// A run of `graph` that has not begun, and whose start actor will receive `inputs`.
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

    /// Sets which outputs the ending has beside the result.
    #[must_use]
    pub fn with_outputs(mut self, wanted: Outputs) -> Self {
        self.outputs = OutputCollector::new(wanted, self.limits.outputs);
        self
    }

    /// The counts up to now.
    pub fn counts(&self) -> Counts {
        Counts { open: self.open.len(), queued: self.queue.len(), ..self.counts }
    }

    /// Handles one event and appends to `actions` what the caller is to do, in this order.
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

    /// Delivers one trigger, and runs its target if the target now has the inputs it needs.
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

    /// How many triggers, attempts and buffered arrivals take memory now ([`Limits::under_way`]).
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
