//! A wait that has ended leaves nothing in the scheduler.

use std::os::fd::AsFd;

use super::*;
use crate::channel::channel;
use crate::executor::{Executor, STACK_BYTES};
use crate::files::wait_readable;
use crate::monitor::Monitor;
use crate::task::yield_now;
use crate::watchdog::Heartbeat;

/// The number of timers and watched files, whether there is no task, and the number of spare stacks.
fn counts() -> (usize, usize, bool, usize) {
    let (scheduler, _) = Scheduler::current().unwrap();
    let state = scheduler.state.borrow();
    (state.timers.len(), state.watched, state.tasks.is_empty(), state.spare.len())
}

/// Runs a job on an executor of its own, and returns its result.
fn in_a_task<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> T {
    let executor = Executor::start(STACK_BYTES, Arc::<Heartbeat>::default()).unwrap();
    let (sender, receiver) = channel(None);
    executor.spawn([Box::new(move |_| sender.send(job()).unwrap()) as Job]);
    let result = receiver.recv().unwrap();
    executor.close();
    result
}

#[test]
fn a_wait_that_ends_before_its_deadline_leaves_no_timer() {
    let left = in_a_task(|| {
        let (scheduler, _) = Scheduler::current().unwrap();
        let monitor = Arc::new(Monitor::new(false));
        for _ in 0..3 {
            let other = monitor.clone();
            scheduler.spawn(Box::new(move |_| other.change(|is_set| *is_set = true)));
            monitor
                .wait(Some(Instant::now() + Duration::from_secs(3600)), |is_set| std::mem::take(is_set).then_some(()));
        }
        counts()
    });
    assert_eq!(left, (0, 0, false, 1));
}

#[test]
fn a_wait_for_files_leaves_none_watched_whether_a_file_was_ready_or_not() {
    let left = in_a_task(|| {
        let (reader, writer) = io::pipe().unwrap();
        let soon = || Some(Instant::now() + Duration::from_millis(1));
        assert_eq!(wait_readable(&[reader.as_fd(), reader.as_fd()], soon()).unwrap(), [false, false]);
        drop(writer);
        assert_eq!(wait_readable(&[reader.as_fd()], None).unwrap(), [true]);
        counts()
    });
    assert_eq!(left, (0, 0, false, 0));
}

#[test]
fn stacks_beyond_a_few_are_given_back_when_their_tasks_end() {
    let left = in_a_task(|| {
        let (scheduler, _) = Scheduler::current().unwrap();
        (0..2 * SPARE_STACKS).for_each(|_| scheduler.spawn(Box::new(|_| yield_now())));
        yield_now();
        yield_now();
        counts().3
    });
    assert_eq!(left, SPARE_STACKS);
}
