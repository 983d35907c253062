//! Time limits of attempts: [`TimeLimits`] says how long an attempt may take, [`Deadlines`] which attempts are due
//! when, and [`limit_exceeded`] is the error of an attempt that took longer. Nothing here owns a clock or waits.
//!
//! # The rules of a time limit
//! - The time counts from the moment at which the run receives the pool's event that the attempt started, not from its
//!   submission. An attempt that had not begun when its worker died waits again, and its time begins anew.
//! - When the time is over, the run still handles all events that the pool had sent by then. If the attempt has not
//!   ended by these, the run interrupts it, and it has failed: a result that it still returns is dropped. How the
//!   attempt ends is up to the pool: by itself, by a signal, or on a thread perhaps never; then the run abandons it.
//! - An attempt is interrupted once, by its own limit or by the end of the run, whichever comes first.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use pushflow_graph::{ActorId, Graph};
use pushflow_model::{AttemptId, ErrorKind, TaskError};

/// How long attempts may take, by actor.
pub(crate) struct TimeLimits {
    general: Option<Duration>,
    own: HashMap<ActorId, Duration>,
}

impl TimeLimits {
    /// The limits of the graph's actors, and the general limit for all others.
    pub(crate) fn new(graph: &Graph, general: Option<Duration>) -> TimeLimits {
        TimeLimits { general, own: graph.time_limits().collect() }
    }

    /// How long an attempt of this actor may take; `None` without a limit.
    pub(crate) fn of(&self, actor: ActorId) -> Option<Duration> {
        self.own.get(&actor).copied().or(self.general)
    }
}

/// Attempts, each with the moment at which it is due.
///
/// Each change costs the logarithm of the number of attempts. An attempt that was removed takes no memory.
#[derive(Default)]
pub(crate) struct Deadlines {
    by_time: BTreeSet<(Instant, AttemptId)>,
    by_attempt: HashMap<AttemptId, Instant>,
}

impl Deadlines {
    /// Sets when the attempt is due, in place of an earlier moment.
    pub(crate) fn set(&mut self, attempt: AttemptId, at: Instant) {
        self.remove(attempt);
        self.by_attempt.insert(attempt, at);
        self.by_time.insert((at, attempt));
    }

    /// Removes the attempt.
    pub(crate) fn remove(&mut self, attempt: AttemptId) {
        if let Some(at) = self.by_attempt.remove(&attempt) {
            self.by_time.remove(&(at, attempt));
        }
    }

    /// Whether the attempt has a moment at which it is due.
    pub(crate) fn contains(&self, attempt: AttemptId) -> bool {
        self.by_attempt.contains_key(&attempt)
    }

    /// When the first attempt is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|&(at, _)| at)
    }

    /// Takes out the attempts that are due at `now`, in the order of their moments.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<AttemptId> {
        let mut due = Vec::new();
        while let Some(&(at, attempt)) = self.by_time.first()
            && at <= now
        {
            self.remove(attempt);
            due.push(attempt);
        }
        due
    }

    /// Sets the moment of all attempts.
    pub(crate) fn set_all(&mut self, at: Instant) {
        let attempts: Vec<AttemptId> = self.by_attempt.keys().copied().collect();
        attempts.into_iter().for_each(|attempt| self.set(attempt, at));
    }
}

/// The error of an attempt that was interrupted at its time limit and then failed with the error `ended`, or returned a
/// result (`None`). It keeps what `ended` says of the process and the traceback.
pub(crate) fn limit_exceeded(limit: Duration, ended: Option<TaskError>) -> TaskError {
    let start = format!("the attempt ran longer than its limit of {} s and was interrupted", limit.as_secs_f64());
    let Some(error) = ended else {
        return TaskError::new(ErrorKind::TimedOut, format!("{start}: what it returned after that was dropped"));
    };
    let end = match error.kind {
        ErrorKind::Stopped | ErrorKind::WorkerLost => error.message.clone(),
        _ => error.to_string(),
    };
    let TaskError { kind, type_name, message, .. } = TaskError::new(ErrorKind::TimedOut, format!("{start}: {end}"));
    TaskError { kind, type_name, message, ..error }
}

/// The error of an attempt that was interrupted and has not ended within the patience of its pool.
pub(crate) fn abandoned() -> TaskError {
    TaskError::new(
        ErrorKind::Stopped,
        "the attempt was interrupted and still runs: a task in the scheduler's own process, or in the interpreter that \
         Python tasks share there, ends only by itself; it is left behind",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn the_first_that_is_due_comes_first_and_each_once() {
        let start = Instant::now();
        let mut deadlines = Deadlines::default();
        for (attempt, at) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
            deadlines.set(AttemptId(attempt), start + second(at));
        }
        assert_eq!(deadlines.next(), Some(start + second(10)));
        assert_eq!(deadlines.take_due(start + second(9)), []);
        assert_eq!(deadlines.take_due(start + second(20)), [2, 4, 3].map(AttemptId));
        assert_eq!(deadlines.take_due(start + second(20)), []);
        assert_eq!(deadlines.next(), Some(start + second(30)));
    }

    #[test]
    fn a_deadline_that_is_set_again_counts_alone() {
        let start = Instant::now();
        let mut deadlines = Deadlines::default();
        deadlines.set(AttemptId(1), start);
        deadlines.set(AttemptId(1), start + second(5));
        assert_eq!(deadlines.take_due(start), []);
        assert_eq!(deadlines.take_due(start + second(5)), [AttemptId(1)]);
        deadlines.set(AttemptId(2), start + second(5));
        deadlines.set_all(start);
        assert_eq!(deadlines.take_due(start), [AttemptId(2)]);
    }

    #[test]
    fn what_has_ended_leaves_nothing_behind() {
        let mut deadlines = Deadlines::default();
        for attempt in 1..=100 {
            deadlines.set(AttemptId(attempt), Instant::now() + second(attempt % 7));
        }
        assert!(deadlines.contains(AttemptId(50)));
        (1..=50).for_each(|attempt| deadlines.remove(AttemptId(attempt)));
        assert!(!deadlines.contains(AttemptId(50)));
        deadlines.take_due(Instant::now() + second(60));
        assert!(deadlines.by_time.is_empty() && deadlines.by_attempt.is_empty());
    }

    #[test]
    fn the_limit_of_an_actor_wins_over_the_general_one() {
        let mut graph = Graph::new("limits");
        let [own, other] = ["own", "other"].map(|name| {
            let task = pushflow_model::TaskSpec::rust("task");
            graph.add_task(name, task).expect("the names differ")
        });
        graph.limit_time(own, second(5)).expect("it runs a task");
        let limits = |general| TimeLimits::new(&graph, general);
        assert_eq!([own, other].map(|actor| limits(Some(second(1))).of(actor)), [Some(second(5)), Some(second(1))]);
        assert_eq!([own, other].map(|actor| limits(None).of(actor)), [Some(second(5)), None]);
    }

    #[test]
    fn the_error_says_the_limit_and_how_the_attempt_ended_and_keeps_what_is_known_of_that() {
        let limit = Duration::from_millis(1500);
        let begin = "the attempt ran longer than its limit of 1.5 s and was interrupted: ";
        let dropped = limit_exceeded(limit, None);
        assert_eq!((dropped.kind, dropped.type_name.as_str()), (ErrorKind::TimedOut, "TimedOut"));
        assert_eq!(dropped.message, format!("{begin}what it returned after that was dropped"));
        let mut lost = TaskError::new(ErrorKind::Stopped, "the worker process (pid 7) was killed");
        (lost.pid, lost.stderr) = (Some(7), vec!["a line".to_owned()]);
        let replaced = limit_exceeded(limit, Some(lost.clone()));
        assert_eq!(replaced.message, format!("{begin}the worker process (pid 7) was killed"));
        assert_eq!((replaced.kind, replaced.pid, replaced.stderr), (ErrorKind::TimedOut, lost.pid, lost.stderr));
        let raised = limit_exceeded(limit, Some(TaskError::new(ErrorKind::Panicked, "no way")));
        assert_eq!(raised.message, format!("{begin}panic: no way"));
    }
}
