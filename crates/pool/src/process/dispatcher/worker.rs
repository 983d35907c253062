//! One worker as the dispatcher knows it: its state, what it printed, and what its end means.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pushflow_protocol::{AttemptId, ErrorKind, Exit, TaskError};

use super::message::{Action, Rules, WorkerId};
use crate::attempt::Stream;
use crate::process::tail::Tail;

/// After SIGTERM to a worker's group, how long until its tree is ended.
const TERM_TO_KILL: Duration = Duration::from_millis(50);
/// After a worker's exit, how long its channel is read before its attempt is lost.
const CHANNEL_DRAIN: Duration = Duration::from_millis(500);
/// How long a worker that was told to go may take before its tree is ended.
const LEAVE: Duration = Duration::from_secs(1);

/// A worker from the moment it was asked for until nothing of it is left.
pub(super) struct Worker {
    pub(super) pid: Option<u32>,
    pub(super) state: State,
    /// By stream.
    pub(super) output: [Printed; 2],
    /// Set by the exit report; the state may lag behind, for the channel's last messages.
    pub(super) exit: Option<Death>,
    /// Nothing more will come over its channel.
    pub(super) channel_closed: bool,
    /// Why it was ended, if it did what no worker does.
    pub(super) fault: Option<String>,
    /// What it printed has been read to its end.
    pub(super) drained: bool,
    /// Nothing of its tree is left.
    pub(super) gone: bool,
    /// The end of its tree was asked for.
    end_asked: bool,
}

/// The end of a worker's process.
#[derive(Clone, Copy)]
pub(super) struct Death {
    pub(super) exit: Exit,
    pub(super) peak_memory_kib: u64,
    pub(super) at: Instant,
}

/// See the documentation of the dispatcher.
pub(super) enum State {
    Starting {
        since: Instant,
    },
    Idle {
        since: Instant,
    },
    Busy {
        attempt: AttemptId,
        interrupt: Interrupted,
    },
    Settling {
        attempt: AttemptId,
        error: TaskError,
        until: Instant,
    },
    Leaving {
        until: Instant,
    },
    /// Its end was reported; only what it has left behind is waited for.
    Buried,
}

/// How far the interruption of an attempt has come.
#[derive(Clone, Copy)]
pub(super) enum Interrupted {
    No,
    Asked(Instant),
    Terminated(Instant),
    Ended,
}

/// What a worker printed on one stream.
#[derive(Default)]
pub(super) struct Printed {
    /// The attempts whose output has not ended yet, oldest first.
    pub(super) open: VecDeque<AttemptId>,
    /// The last lines since the last attempt whose output has ended.
    pub(super) tail: Tail,
    /// The last lines of that attempt, until it is known whether it failed.
    pub(super) ended: Option<(AttemptId, Tail)>,
}

impl Printed {
    /// An attempt has succeeded; without a marker it has printed nothing.
    pub(super) fn succeeded(&mut self, attempt: AttemptId, marked: bool) {
        if !marked {
            self.open.retain(|open| *open != attempt);
        }
    }
}

impl Worker {
    /// A worker that has just been asked for.
    pub(super) fn new(now: Instant) -> Worker {
        Worker {
            pid: None,
            state: State::Starting { since: now },
            output: Default::default(),
            exit: None,
            channel_closed: false,
            fault: None,
            drained: false,
            gone: false,
            end_asked: false,
        }
    }

    pub(super) fn dismiss(&mut self, id: WorkerId, now: Instant, actions: &mut Vec<Action>) {
        self.state = State::Leaving { until: now + LEAVE };
        actions.push(Action::Dismiss(id));
    }

    /// Asks for the end of its tree, once: the guardian repeats what it takes until nothing is left.
    pub(super) fn end(&mut self, id: WorkerId, actions: &mut Vec<Action>) {
        if self.exit.is_none() && !self.end_asked {
            self.end_asked = true;
            actions.push(Action::End(id));
        }
    }

    /// Whether it can be given attempts, now or later.
    pub(super) fn stays(&self) -> bool {
        self.exit.is_none() && !self.end_asked && !matches!(self.state, State::Leaving { .. } | State::Buried)
    }

    /// When time alone will change something.
    pub(super) fn next_tick(&self, rules: &Rules) -> Option<Instant> {
        if let Some(death) = self.exit {
            let waits = !matches!(self.state, State::Buried) && !self.channel_closed;
            return waits.then(|| death.at + CHANNEL_DRAIN);
        }
        match &self.state {
            State::Starting { since } => (!self.end_asked).then(|| *since + rules.start_timeout),
            State::Idle { since } => rules.scaling.then(|| *since + rules.idle_timeout),
            State::Busy { interrupt, .. } => match interrupt {
                Interrupted::Asked(at) => Some(*at + rules.interrupt_grace),
                Interrupted::Terminated(at) => Some(*at + TERM_TO_KILL),
                Interrupted::No | Interrupted::Ended => None,
            },
            State::Settling { until, .. } => Some(*until),
            State::Leaving { until } => (!self.end_asked).then_some(*until),
            State::Buried => None,
        }
    }

    /// Whether its process has ended and everything that it said and printed is known, or has had its time.
    pub(super) fn is_known_dead(&self, now: Instant) -> bool {
        let Some(death) = self.exit else { return false };
        let heard = self.channel_closed || death.at + CHANNEL_DRAIN <= now;
        heard && self.drained && !matches!(self.state, State::Buried)
    }

    /// The end of a worker as the error of the attempt that it ran.
    pub(super) fn lost_error(&mut self, interrupt: Interrupted) -> TaskError {
        let (exit, peak) = self.exit.map_or((Exit::Unknown, 0), |death| (death.exit, death.peak_memory_kib));
        let pid = self.pid.unwrap_or(0);
        let mut message = format!("the worker process (pid {pid}) {exit}");
        if let Some(fault) = &self.fault {
            message = format!("the worker process (pid {pid}) was ended: {fault}");
        } else if exit == Exit::Signal(Signal::SIGKILL as i32) && matches!(interrupt, Interrupted::No) {
            message += &format!(", with {} MiB in use: killed from outside, or out of memory", peak / 1024);
        }
        let kind = match interrupt {
            Interrupted::No => ErrorKind::WorkerLost,
            _ => {
                message += " after it had been interrupted";
                ErrorKind::Stopped
            }
        };
        let mut error = TaskError::new(kind, message);
        error.pid = self.pid;
        error.stderr = std::mem::take(&mut self.output[Stream::Stderr as usize].tail).into_lines();
        error
    }

    /// The end of a worker that was never ready.
    pub(super) fn start_error(&mut self) -> String {
        let ending = match (&self.fault, self.exit) {
            (Some(fault), _) => fault.clone(),
            (None, Some(death)) => format!("it {} before it was ready", death.exit),
            (None, None) => "it ended before it was ready".to_owned(),
        };
        let printed = std::mem::take(&mut self.output[Stream::Stderr as usize].tail).into_lines();
        let said = if printed.is_empty() { String::new() } else { format!("; it said: {}", printed.join(" / ")) };
        format!("a worker could not be started: {ending}{said}")
    }
}
