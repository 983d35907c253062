//! [`JobQueue`]: the jobs of a worker, between the thread that receives them and the main thread, which runs them.
//!
//! # States of a job
//! ```text
//!            the main thread takes it           it ends
//!   waiting ─────────────────────────▶ running ─────────▶ done
//!      │
//!      │ asked back, interrupted, or the channel has ended
//!      ▼
//!   removed
//! ```
//! Every transition is made under one lock. So a job that was removed never begins, and a job that has begun is never
//! given back. An interrupt names its attempt, so that it never reaches the attempt that runs next.
//!
//! The main thread waits here while the control thread receives. A wake-up ends that wait without a job, or the next
//! wait if the main thread does not wait yet.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use pushflow_guardian::Interrupter;
use pushflow_model::{AttemptId, TaskSpec};
use pushflow_protocol::slabs::EncodedData;

/// A job whose inputs have arrived.
pub(crate) struct Job {
    pub(crate) attempt: AttemptId,
    pub(crate) actor: String,
    pub(crate) task: TaskSpec,
    pub(crate) inputs: EncodedData,
}

/// The jobs that wait, and the one that runs.
#[derive(Default)]
pub(crate) struct JobQueue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    waiting: VecDeque<Job>,
    running: Option<RunningJob>,
    /// Whether the channel has ended.
    closed: bool,
    /// Whether the next wait ends at once.
    woken: bool,
}

/// What the main thread finds in the queue.
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it is made")]
pub(crate) enum Next {
    /// A job to run, and what interrupts it.
    Job(Job, Interrupter),
    /// No job now.
    Empty,
    /// No job any more: the channel has ended.
    Closed,
}

struct RunningJob {
    attempt: AttemptId,
    interrupter: Interrupter,
    /// Whether a command or an interpreter runs the task of this attempt.
    has_process: bool,
}

impl JobQueue {
    /// Adds jobs, which are run in this order.
    pub(crate) fn add(&self, jobs: Vec<Job>) {
        self.lock().waiting.extend(jobs);
        self.changed.notify_one();
    }

    /// Interrupts the attempt if it runs. If it waits, removes it and returns `true`. An attempt that has ended is left
    /// alone.
    pub(crate) fn interrupt(&self, attempt: AttemptId) -> bool {
        let mut state = self.lock();
        if let Some(running) = state.running.as_ref().filter(|running| running.attempt == attempt) {
            running.interrupter.interrupt();
            return false;
        }
        let before = state.waiting.len();
        state.waiting.retain(|job| job.attempt != attempt);
        state.waiting.len() < before
    }

    /// Interrupts the attempt that runs now, if any.
    pub(crate) fn interrupt_running(&self) {
        self.lock().running.iter().for_each(|running| running.interrupter.interrupt());
    }

    /// Sends SIGTERM to the process of the attempt that runs now, also while that process is being started. Returns
    /// `false` if no attempt runs, or if the attempt has no process of its own.
    pub(crate) fn terminate_running(&self) -> bool {
        let state = self.lock();
        let running = state.running.iter().filter(|running| running.has_process);
        running.map(|running| running.interrupter.terminate()).count() > 0
    }

    /// Removes those of these attempts that wait, and returns them.
    pub(crate) fn give_back(&self, attempts: &[AttemptId]) -> Vec<AttemptId> {
        let mut given_back = Vec::new();
        self.lock().waiting.retain(|job| {
            let asked = attempts.contains(&job.attempt);
            if asked {
                given_back.push(job.attempt);
            }
            !asked
        });
        given_back
    }

    /// The channel has ended, and no result can be sent. Removes the jobs that wait; the one that runs may finish.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.waiting.clear();
        self.changed.notify_one();
    }

    /// Takes the next job, which counts as running until [`JobQueue::done`].
    pub(crate) fn next(&self) -> Next {
        let mut state = self.lock();
        if state.closed {
            return Next::Closed;
        }
        let Some(job) = state.waiting.pop_front() else { return Next::Empty };
        let interrupter = Interrupter::new();
        let has_process = !matches!(job.task, TaskSpec::Rust { .. });
        state.running = Some(RunningJob { attempt: job.attempt, interrupter: interrupter.clone(), has_process });
        Next::Job(job, interrupter)
    }

    /// Whether [`JobQueue::next`] would return a job or [`Next::Closed`].
    pub(crate) fn is_ready(&self) -> bool {
        let state = self.lock();
        !state.waiting.is_empty() || state.closed
    }

    /// Waits until there is a job, the queue is closed, or [`JobQueue::wake`] is called.
    pub(crate) fn wait(&self) {
        let nothing = |state: &mut QueueState| state.waiting.is_empty() && !state.closed && !state.woken;
        let waited = self.changed.wait_while(self.lock(), nothing);
        waited.unwrap_or_else(PoisonError::into_inner).woken = false;
    }

    /// Ends the wait of the main thread, or its next wait if it does not wait now.
    pub(crate) fn wake(&self) {
        self.lock().woken = true;
        self.changed.notify_one();
    }

    /// The job that ran has ended. Returns whether others wait.
    pub(crate) fn done(&self) -> bool {
        let mut state = self.lock();
        state.running = None;
        !state.waiting.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(attempt: u64) -> Job {
        let task = TaskSpec::Rust { name: "task".into() };
        Job { attempt: AttemptId(attempt), actor: "actor".into(), task, inputs: Default::default() }
    }

    fn next(queue: &JobQueue) -> (Job, Interrupter) {
        match queue.next() {
            Next::Job(job, interrupter) => (job, interrupter),
            Next::Empty | Next::Closed => panic!("there is a job"),
        }
    }

    #[test]
    fn an_interrupt_reaches_the_attempt_that_it_names_and_no_other() {
        let queue = JobQueue::default();
        queue.add(vec![job(1), job(2)]);
        let (_, first) = next(&queue);
        assert!(queue.interrupt(AttemptId(2)), "it waited");
        assert!(!queue.interrupt(AttemptId(1)), "it runs");
        assert!(first.is_interrupted());
        queue.done();
        queue.add(vec![job(3)]);
        let (third, interrupter) = next(&queue);
        assert_eq!(third.attempt, AttemptId(3));
        assert!(!queue.interrupt(AttemptId(1)), "it has ended");
        assert!(!interrupter.is_interrupted());
    }

    #[test]
    fn what_has_begun_is_not_given_back() {
        let queue = JobQueue::default();
        queue.add(vec![job(1), job(2), job(3)]);
        next(&queue);
        assert_eq!(queue.give_back(&[AttemptId(1), AttemptId(3), AttemptId(9)]), [AttemptId(3)]);
        assert!(queue.done(), "the second still waits");
        assert_eq!(next(&queue).0.attempt, AttemptId(2));
    }

    #[test]
    fn jobs_that_wait_are_removed_when_the_channel_has_ended() {
        let queue = JobQueue::default();
        queue.add(vec![job(1)]);
        queue.close();
        assert!(matches!(queue.next(), Next::Closed));
        queue.wait();
    }

    #[test]
    fn a_wake_ends_one_wait_also_one_that_begins_later() {
        let queue = JobQueue::default();
        queue.wake();
        queue.wait();
        assert!(matches!(queue.next(), Next::Empty) && !queue.is_ready());
        queue.add(vec![job(1)]);
        queue.wait();
        assert!(queue.is_ready());
    }
}
