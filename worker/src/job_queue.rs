//! [`JobQueue`]: the jobs of a worker, between the thread that hears of them and the thread that runs them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use pushflow_pool::run::Interrupter;
use pushflow_protocol::slabs::EncodedData;
use pushflow_protocol::{AttemptId, TaskSpec};

/// A job whose inputs have arrived.
pub(crate) struct Job {
    pub(crate) attempt: AttemptId,
    pub(crate) actor: String,
    pub(crate) task: TaskSpec,
    pub(crate) inputs: EncodedData,
}

/// Jobs that wait and the one that runs. An interrupt names the attempt, so that it never hits the next one.
#[derive(Default)]
pub(crate) struct JobQueue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    waiting: VecDeque<Job>,
    running: Option<RunningJob>,
    closed: bool,
    woken: bool,
}

/// What there is to run.
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it is made")]
pub(crate) enum Next {
    Job(Job, Interrupter),
    /// Nothing now.
    Empty,
    /// Nothing any more.
    Closed,
}

struct RunningJob {
    attempt: AttemptId,
    interrupter: Interrupter,
    /// Whether a command or an interpreter works for it.
    has_process: bool,
}

impl JobQueue {
    /// Jobs to run, in this order.
    pub(crate) fn add(&self, jobs: Vec<Job>) {
        self.lock().waiting.extend(jobs);
        self.changed.notify_one();
    }

    /// Interrupts the attempt if it runs; `true` if it waited and is now forgotten. Nothing if it is over.
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

    /// Interrupts whatever attempt runs now.
    pub(crate) fn interrupt_running(&self) {
        self.lock().running.iter().for_each(|running| running.interrupter.interrupt());
    }

    /// Sends SIGTERM to the process that works for the attempt that runs now, or is being started for it: `false` if no
    /// attempt runs, or one that has none.
    pub(crate) fn terminate_running(&self) -> bool {
        let state = self.lock();
        let running = state.running.iter().filter(|running| running.has_process);
        running.map(|running| running.interrupter.terminate()).count() > 0
    }

    /// Forgets those of these attempts that wait, and says which.
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

    /// Nobody will hear of any result: what waits is forgotten, what runs may finish.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.waiting.clear();
        self.changed.notify_one();
    }

    /// The next job, which counts as running until [`JobQueue::done`].
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

    /// Whether there is a job, or the queue was closed.
    pub(crate) fn is_ready(&self) -> bool {
        let state = self.lock();
        !state.waiting.is_empty() || state.closed
    }

    /// Waits until there is a job, the queue was closed, or somebody calls [`JobQueue::wake`].
    pub(crate) fn wait(&self) {
        let nothing = |state: &mut QueueState| state.waiting.is_empty() && !state.closed && !state.woken;
        let waited = self.changed.wait_while(self.lock(), nothing);
        waited.unwrap_or_else(PoisonError::into_inner).woken = false;
    }

    /// Ends a wait, or the next one.
    pub(crate) fn wake(&self) {
        self.lock().woken = true;
        self.changed.notify_one();
    }

    /// The job that ran is over: whether others wait.
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
        assert!(!queue.interrupt(AttemptId(1)), "it is over");
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
    fn what_waits_is_forgotten_when_nobody_listens_any_more() {
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
