//! [`Worker`]: the dispatcher's record of one worker, with its state, its attempts, its last output, and its end.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pushflow_model::{AttemptId, Data, ErrorKind, Exit, TaskError};

use super::message::{Action, Rules, WorkerId};
use crate::attempt::{Attempt, PoolEvent, Stream};
use crate::process::last_lines::LastLines;

/// How long after SIGTERM to a worker's process group its process tree is ended.
const TERM_TO_KILL: Duration = Duration::from_millis(50);
/// How long after a worker's exit its channel is read before its attempts are settled. Processes that the worker left
/// behind and that hold the channel open are being killed, so that on all but a very busy machine the channel ends at
/// once.
const CHANNEL_DRAIN: Duration = Duration::from_secs(2);
/// How long the report of an answer waits for the marker that ends the attempt's output. The marker was written before
/// the answer, so that only a very busy machine takes that long to read it.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the end of a worker's process tree may take, from the action `End`, and from the worker's own exit.
const END_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a dismissed worker may take to leave before its process tree is ended.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// A worker, from the action `Start` until no process of its tree is left.
pub(super) struct Worker {
    pub(super) pid: Option<u32>,
    pub(super) state: WorkerState,
    /// The attempts that the worker has and has not answered, in their order; it runs the first.
    pub(super) assigned: VecDeque<AssignedAttempt>,
    /// How many attempts were ever assigned to the worker, without those that it gave back and those that could not be
    /// sent.
    pub(super) assigned_total: usize,
    /// The answers that are reported when the output of their attempts has been read.
    pub(super) answered: Vec<AnsweredAttempt>,
    /// When the worker last answered, was assigned an attempt while it was idle, became ready, or was continued.
    pub(super) last_progress: Instant,
    /// Set by the exit report. Messages that the worker sent before may still be on their way.
    pub(super) exit: Option<ProcessExit>,
    /// No more messages will come over the worker's channel.
    pub(super) channel_closed: bool,
    /// Why the dispatcher ended the worker, if the worker was at fault.
    pub(super) fault: Option<String>,
    /// A signal has stopped the worker.
    pub(super) stopped: bool,
    /// The worker's output has been read to its end.
    pub(super) output_drained: bool,
    /// No process of the worker's tree is left.
    pub(super) reaped: bool,
    /// When the end of the worker's process tree was asked for.
    end_requested: Option<Instant>,
    /// The last lines on standard error, and the attempt that printed them; `None` before the first attempt.
    last_lines: (Option<AttemptId>, LastLines),
}

/// The states of a worker: see the documentation of the dispatcher.
#[derive(Clone, Copy)]
pub(super) enum WorkerState {
    Starting { since: Instant },
    Serving,
    Leaving { until: Instant },
    Settled,
}

/// An attempt that a worker has and has not answered.
pub(super) struct AssignedAttempt {
    pub(super) attempt: Attempt,
    /// How many workers have died with the attempt before they started it.
    pub(super) losses_before_start: u8,
    pub(super) interruption: Interruption,
    pub(super) asked_back: bool,
    /// Whether the start of the attempt was reported.
    pub(super) start_reported: bool,
    output: OutputRead,
}

impl AssignedAttempt {
    pub(super) fn new(attempt: Attempt, losses_before_start: u8) -> AssignedAttempt {
        let (interruption, output) = (Interruption::None, OutputRead::default());
        AssignedAttempt { attempt, losses_before_start, interruption, asked_back: false, start_reported: false, output }
    }
}

/// The steps of the interruption of an attempt.
#[derive(Clone, Copy)]
pub(super) enum Interruption {
    None,
    Requested(Instant),
    /// SIGTERM was sent, since the attempt did not end within its grace.
    TermSent(Instant),
    /// SIGTERM was sent, since the process that has the pool exits.
    TermSentAtExit(Instant),
    /// SIGTERM was sent at the request of the pool's owner.
    TermSentByUser,
    EndRequested,
}

/// An attempt that the worker has answered, while its output is still being read.
pub(super) struct AnsweredAttempt {
    attempt: AttemptId,
    answer: Result<Data, TaskError>,
    output: OutputRead,
    until: Instant,
}

impl AnsweredAttempt {
    pub(super) fn new(
        assigned: AssignedAttempt,
        answer: Result<Data, TaskError>,
        marked: bool,
        now: Instant,
    ) -> AnsweredAttempt {
        let mut output = assigned.output;
        if !marked {
            output.read = [true; 2];
        }
        AnsweredAttempt { attempt: assigned.attempt.id, answer, output, until: now + OUTPUT_TIMEOUT }
    }
}

/// How far the output of an attempt has been read.
#[derive(Default)]
pub(super) struct OutputRead {
    /// Whether it has been read to its end, by stream.
    read: [bool; 2],
    /// The last lines on standard error, once standard error has been read to its end.
    last_lines: Vec<String>,
}

/// The end of a worker's process.
#[derive(Clone, Copy)]
pub(super) struct ProcessExit {
    pub(super) exit: Exit,
    pub(super) peak_memory_kib: u64,
    /// The last attempt that the worker started.
    pub(super) begun: Option<AttemptId>,
    pub(super) at: Instant,
}

impl Worker {
    /// A worker whose start is asked for now.
    pub(super) fn new(now: Instant) -> Worker {
        Worker {
            pid: None,
            state: WorkerState::Starting { since: now },
            assigned: VecDeque::new(),
            assigned_total: 0,
            answered: Vec::new(),
            last_progress: now,
            exit: None,
            channel_closed: false,
            fault: None,
            stopped: false,
            output_drained: false,
            reaped: false,
            end_requested: None,
            last_lines: (None, LastLines::default()),
        }
    }

    // ----- serving -----

    /// Whether attempts can be assigned to the worker, now or when it is ready.
    pub(super) fn is_usable(&self) -> bool {
        let ending = self.exit.is_some() || self.end_requested.is_some() || self.channel_closed;
        !ending && matches!(self.state, WorkerState::Starting { .. } | WorkerState::Serving)
    }

    /// Whether attempts can be assigned to the worker now.
    pub(super) fn is_serving(&self) -> bool {
        self.is_usable() && !self.stopped && matches!(self.state, WorkerState::Serving)
    }

    /// Whether the worker serves and has no attempt.
    pub(super) fn is_idle(&self) -> bool {
        self.is_serving() && self.assigned.is_empty()
    }

    /// Whether the worker has been idle for so long that it is to leave, unless it is the last one.
    pub(super) fn is_long_idle(&self, rules: &Rules, now: Instant) -> bool {
        rules.scaling && self.is_idle() && self.last_progress + rules.idle_timeout <= now
    }

    pub(super) fn assigned_mut(&mut self, attempt: AttemptId) -> Option<&mut AssignedAttempt> {
        self.assigned.iter_mut().find(|assigned| assigned.attempt.id == attempt)
    }

    pub(super) fn take(&mut self, attempt: AttemptId) -> Option<AssignedAttempt> {
        let position = self.assigned.iter().position(|assigned| assigned.attempt.id == attempt)?;
        self.assigned.remove(position)
    }

    /// Reports, once, the start of the attempt that the worker runs. The report comes after that of the attempt before,
    /// which may wait for its output: so no worker seems to run two attempts at a time.
    pub(super) fn report_first_started(&mut self) -> Option<Action> {
        if !self.answered.is_empty() {
            return None;
        }
        let pid = self.pid.unwrap_or(0);
        let assigned = self.assigned.front_mut().filter(|assigned| !assigned.start_reported)?;
        assigned.start_reported = true;
        Some(Action::Report(PoolEvent::Started { attempt: assigned.attempt.id, pid }))
    }

    /// How many attempts wait behind the running one and have not been asked back.
    pub(super) fn can_ask_back(&self) -> usize {
        self.assigned.iter().skip(1).filter(|assigned| !assigned.asked_back).count()
    }

    /// Marks the last half of the attempts behind the running one as asked back, and returns them.
    pub(super) fn ask_back(&mut self) -> Vec<AttemptId> {
        let count = self.can_ask_back().div_ceil(2);
        let last = self.assigned.iter_mut().skip(1).rev().filter(|assigned| !assigned.asked_back).take(count);
        let mut attempts: Vec<AttemptId> = last
            .map(|assigned| {
                assigned.asked_back = true;
                assigned.attempt.id
            })
            .collect();
        attempts.reverse();
        attempts
    }

    /// Marks all attempts behind the running one as asked back, and returns them.
    pub(super) fn ask_all_back(&mut self) -> Vec<AttemptId> {
        let behind = self.assigned.iter_mut().skip(1).filter(|assigned| !assigned.asked_back);
        behind.map(|assigned| (assigned.asked_back = true, assigned.attempt.id).1).collect()
    }

    // ----- ending -----

    pub(super) fn dismiss(&mut self, id: WorkerId, now: Instant, actions: &mut Vec<Action>) {
        self.state = WorkerState::Leaving { until: now + LEAVE_TIMEOUT };
        actions.push(Action::Dismiss(id));
    }

    /// Ends a worker that is not ready and that the pool does not need any more: a worker that starts can't be
    /// dismissed, since it does not read its channel yet. It counts as leaving, not as a failed start.
    pub(super) fn discard(&mut self, id: WorkerId, now: Instant, actions: &mut Vec<Action>) {
        self.state = WorkerState::Leaving { until: now };
        self.end(id, now, actions);
    }

    /// Asks for the end of the worker's process tree, once: the guardian kills until no process is left.
    pub(super) fn end(&mut self, id: WorkerId, now: Instant, actions: &mut Vec<Action>) {
        if self.exit.is_none() && self.end_requested.is_none() {
            self.end_requested = Some(now);
            actions.push(Action::End(id));
        }
    }

    /// Whether the end of the worker's process tree was asked for.
    pub(super) fn is_being_ended(&self) -> bool {
        self.end_requested.is_some()
    }

    /// Whether the worker's end has taken longer than `END_TIMEOUT`: the guardian is stopped, or the process hangs in
    /// the kernel.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.overdue_at().is_some_and(|at| at <= now)
    }

    fn overdue_at(&self) -> Option<Instant> {
        let since = self.exit.map(|exit| exit.at).or(self.end_requested)?;
        Some(since + END_TIMEOUT)
    }

    /// Treats the worker as dead and its process tree as gone. The worker may still run its attempts, so all of them
    /// count as started, and are lost.
    pub(super) fn give_up(&mut self, now: Instant) {
        let begun = self.assigned.back().map(|assigned| assigned.attempt.id);
        if self.exit.is_none() {
            self.fault.get_or_insert(format!("it could not be ended within {} s", END_TIMEOUT.as_secs()));
        }
        self.exit.get_or_insert(ProcessExit { exit: Exit::Unknown, peak_memory_kib: 0, begun, at: now });
        (self.channel_closed, self.output_drained, self.reaped) = (true, true, true);
    }

    /// Takes the next step of the interruption of the running attempt, if the step before has had its time. Each step
    /// hits the running attempt, so attempts behind it have no steps.
    pub(super) fn escalate(&mut self, rules: &Rules, now: Instant) -> Option<Interruption> {
        self.escalates_at(rules).filter(|due| *due <= now)?;
        let assigned = self.assigned.front_mut()?;
        assigned.interruption = match assigned.interruption {
            Interruption::Requested(_) => Interruption::TermSent(now),
            _ => Interruption::EndRequested,
        };
        Some(assigned.interruption)
    }

    /// When the next step of the interruption is due. An attempt that was interrupted while it waited for its turn has
    /// its grace from its turn on.
    fn escalates_at(&self, rules: &Rules) -> Option<Instant> {
        match self.assigned.front()?.interruption {
            Interruption::Requested(at) => Some(at.max(self.last_progress) + rules.interrupt_grace),
            Interruption::TermSentAtExit(at) => Some(at + rules.interrupt_grace),
            Interruption::TermSent(at) => Some(at + TERM_TO_KILL),
            Interruption::None | Interruption::TermSentByUser | Interruption::EndRequested => None,
        }
    }

    /// When the next timeout of the worker is due; `spare` says whether there are other workers, so that this one may
    /// leave.
    pub(super) fn next_tick(&self, rules: &Rules, spare: bool) -> Option<Instant> {
        let overdue = self.overdue_at();
        if let Some(exit) = self.exit {
            // Until the output has been read, the only timeout is the one after which the worker is given up.
            let waits = !matches!(self.state, WorkerState::Settled) && !self.channel_closed && self.output_drained;
            return waits.then(|| exit.at + CHANNEL_DRAIN).into_iter().chain(overdue).min();
        }
        let answered = self.answered.iter().map(|answered| answered.until).min();
        let state = match self.state {
            _ if self.end_requested.is_some() => None,
            WorkerState::Starting { since } => Some(since + rules.start_timeout),
            WorkerState::Serving if self.assigned.is_empty() => {
                (rules.scaling && spare).then(|| self.last_progress + rules.idle_timeout)
            }
            WorkerState::Serving => self.escalates_at(rules),
            WorkerState::Leaving { until } => Some(until),
            WorkerState::Settled => None,
        };
        [answered, state, overdue].into_iter().flatten().min()
    }

    /// Whether the worker has exited, its messages have arrived or had their time, its output has been read, and its
    /// attempts have not been settled yet.
    pub(super) fn is_exit_known(&self, now: Instant) -> bool {
        let Some(exit) = self.exit else { return false };
        let received_all = self.channel_closed || exit.at + CHANNEL_DRAIN <= now;
        received_all && self.output_drained && !matches!(self.state, WorkerState::Settled)
    }

    /// How many of the assigned attempts the worker had started: those up to the last one that it noted in shared
    /// memory. 0 if it has answered the noted one.
    pub(super) fn begun(&self) -> usize {
        let begun = self.exit.and_then(|exit| exit.begun);
        let position = self.assigned.iter().position(|assigned| Some(assigned.attempt.id) == begun);
        position.map_or(0, |position| position + 1)
    }

    // ----- output -----

    pub(super) fn printed(&mut self, stream: Stream, attempt: Option<AttemptId>, bytes: &[u8]) {
        if stream == Stream::Stderr {
            if self.last_lines.0 != attempt {
                self.last_lines = (attempt, LastLines::default());
            }
            self.last_lines.1.push(bytes);
        }
    }

    /// The output of the attempt on this stream has been read to its end; the attempt may be answered or not.
    pub(super) fn read_to_the_end(&mut self, stream: Stream, attempt: AttemptId) {
        let lines = if stream == Stream::Stderr { self.take_lines(Some(attempt)) } else { Vec::new() };
        let assigned = self.assigned.iter_mut().map(|assigned| (assigned.attempt.id, &mut assigned.output));
        let answered = self.answered.iter_mut().map(|answered| (answered.attempt, &mut answered.output));
        if let Some((_, output)) = assigned.chain(answered).find(|(id, _)| *id == attempt) {
            output.read[stream as usize] = true;
            output.last_lines.extend(lines);
        }
    }

    fn take_lines(&mut self, attempt: Option<AttemptId>) -> Vec<String> {
        if self.last_lines.0 == attempt { std::mem::take(&mut self.last_lines.1).into_lines() } else { Vec::new() }
    }

    /// Takes the answers whose output has been read, or has had its time.
    pub(super) fn take_completed(&mut self, now: Instant) -> Vec<(AttemptId, Result<Data, TaskError>)> {
        self.take_answered_if(|answered| answered.output.read == [true; 2] || answered.until <= now)
    }

    /// Takes all answers that wait for their output.
    pub(super) fn take_all_answered(&mut self) -> Vec<(AttemptId, Result<Data, TaskError>)> {
        self.take_answered_if(|_| true)
    }

    fn take_answered_if(
        &mut self,
        is_settled: impl Fn(&AnsweredAttempt) -> bool,
    ) -> Vec<(AttemptId, Result<Data, TaskError>)> {
        let (settled, waiting) = std::mem::take(&mut self.answered).into_iter().partition(is_settled);
        self.answered = waiting;
        let settled: Vec<AnsweredAttempt> = settled;
        settled
            .into_iter()
            .map(|AnsweredAttempt { attempt, mut answer, output, .. }| {
                if let Err(error) = &mut answer {
                    // Lines that came with the error are those of a command, and stay.
                    if error.stderr.is_empty() {
                        error.stderr = output.last_lines;
                    }
                    if error.stderr.is_empty() {
                        error.stderr = self.take_lines(Some(attempt));
                    }
                    error.pid = error.pid.or(self.pid);
                }
                (attempt, answer)
            })
            .collect()
    }

    // ----- errors -----

    /// The error of an attempt that was assigned to this worker when it ended.
    pub(super) fn lost_error(&mut self, assigned: &AssignedAttempt) -> TaskError {
        let (exit, peak) = self.exit.map_or((Exit::Unknown, 0), |exit| (exit.exit, exit.peak_memory_kib));
        let pid = self.pid.unwrap_or(0);
        let mut message = format!("the worker process (pid {pid}) {exit}");
        if let Some(fault) = &self.fault {
            message = format!("the worker process (pid {pid}) was ended: {fault}");
        } else if exit == Exit::Signal(Signal::SIGKILL as i32) && matches!(assigned.interruption, Interruption::None) {
            message += &format!(", with {} MiB in use: killed from outside, or out of memory", peak / 1024);
        }
        let kind = match assigned.interruption {
            Interruption::None => ErrorKind::WorkerLost,
            _ => {
                message += " after it had been interrupted";
                ErrorKind::Stopped
            }
        };
        let mut error = TaskError::new(kind, message);
        error.pid = self.pid;
        error.stderr = self.take_lines(Some(assigned.attempt.id));
        error
    }

    /// The reason why this worker, which was never ready, ended.
    pub(super) fn start_error(&mut self) -> String {
        let ending = match (&self.fault, self.exit) {
            (Some(fault), _) => fault.clone(),
            (None, Some(exit)) => format!("it {} before it was ready", exit.exit),
            (None, None) => "it ended before it was ready".to_owned(),
        };
        let printed = self.take_lines(None);
        let said = if printed.is_empty() { String::new() } else { format!("; it said: {}", printed.join(" / ")) };
        format!("a worker could not be started: {ending}{said}")
    }
}
