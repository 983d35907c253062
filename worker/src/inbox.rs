//! [`Inbox`]: the jobs of a worker, between the thread that hears of them and the thread that runs them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use pushflow_pool::run::Interrupter;
use pushflow_protocol::slabs::Contents;
use pushflow_protocol::{AttemptId, TaskSpec};

/// A job whose inputs have arrived.
pub(crate) struct Job {
    pub(crate) attempt: AttemptId,
    pub(crate) actor: String,
    pub(crate) task: TaskSpec,
    pub(crate) inputs: Contents,
}

/// Jobs that wait and the one that runs. An interrupt names the attempt, so that it never hits the next one.
#[derive(Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    running: Option<(AttemptId, Interrupter)>,
    closed: bool,
}

impl Inbox {
    /// Jobs to run, in this order.
    pub(crate) fn add(&self, jobs: Vec<Job>) {
        self.lock().waiting.extend(jobs);
        self.changed.notify_one();
    }

    /// Interrupts the attempt if it runs; `true` if it waited and is now forgotten. Nothing if it is over.
    pub(crate) fn interrupt(&self, attempt: AttemptId) -> bool {
        let mut state = self.lock();
        if let Some((running, interrupter)) = &state.running
            && *running == attempt
        {
            interrupter.interrupt();
            return false;
        }
        let before = state.waiting.len();
        state.waiting.retain(|job| job.attempt != attempt);
        state.waiting.len() < before
    }

    /// What runs now, to be interrupted; an attempt that begins later is another one.
    pub(crate) fn running(&self) -> Option<Interrupter> {
        self.lock().running.as_ref().map(|(_, interrupter)| interrupter.clone())
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

    /// Waits for the next job, which counts as running until [`Inbox::done`]; `None` once closed.
    pub(crate) fn next(&self) -> Option<(Job, Interrupter)> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.waiting.pop_front() {
                let interrupter = Interrupter::new();
                state.running = Some((job.attempt, interrupter.clone()));
                return Some((job, interrupter));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The job that ran is over: whether others wait.
    pub(crate) fn done(&self) -> bool {
        let mut state = self.lock();
        state.running = None;
        !state.waiting.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
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

    #[test]
    fn an_interrupt_reaches_the_attempt_that_it_names_and_no_other() {
        let inbox = Inbox::default();
        inbox.add(vec![job(1), job(2)]);
        let (_, first) = inbox.next().unwrap();
        assert!(inbox.interrupt(AttemptId(2)), "it waited");
        assert!(!inbox.interrupt(AttemptId(1)), "it runs");
        assert!(first.is_interrupted());
        inbox.done();
        inbox.add(vec![job(3)]);
        let (third, interrupter) = inbox.next().unwrap();
        assert_eq!(third.attempt, AttemptId(3));
        assert!(!inbox.interrupt(AttemptId(1)), "it is over");
        assert!(!interrupter.is_interrupted());
    }

    #[test]
    fn what_has_begun_is_not_given_back() {
        let inbox = Inbox::default();
        inbox.add(vec![job(1), job(2), job(3)]);
        inbox.next().unwrap();
        assert_eq!(inbox.give_back(&[AttemptId(1), AttemptId(3), AttemptId(9)]), [AttemptId(3)]);
        assert!(inbox.done(), "the second still waits");
        assert_eq!(inbox.next().unwrap().0.attempt, AttemptId(2));
    }

    #[test]
    fn what_waits_is_forgotten_when_nobody_listens_any_more() {
        let inbox = Inbox::default();
        inbox.add(vec![job(1)]);
        inbox.close();
        assert!(inbox.next().is_none());
    }
}
