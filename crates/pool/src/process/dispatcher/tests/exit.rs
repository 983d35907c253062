//! The exit of the process that has the pool.

use super::*;

#[test]
fn an_exit_drops_what_has_not_begun_and_waits_for_what_has() {
    let mut pool = TestPool::open(Rules { max_workers: 1, ..rules() });
    pool.submit([1, 2]);
    assert_eq!(summary(&pool.on(Event::Exit { terminate: false })), ["2 failed: Stopped"]);
    assert!(!pool.dispatcher.is_over());
    assert_eq!(summary(&pool.pass(Duration::from_secs(3600))), [""; 0], "however long it takes");
    assert_eq!(summary(&pool.finish(1, 1)), ["1 finished", "dismiss 1"]);
    pool.dies(1, 1, Exit::Code(0));
    assert!(pool.dispatcher.is_over());
}

#[test]
fn an_exit_interrupts_what_runs_if_that_is_asked_for() {
    let mut pool = TestPool::open(Rules { interrupt_on_exit: true, ..rules() });
    pool.submit([1]);
    assert_eq!(summary(&pool.on(Event::Exit { terminate: false })), ["interrupt 1 on 1"]);
    assert_eq!(summary(&pool.pass(Duration::from_secs(2))), ["SIGTERM to 1"]);
}

#[test]
fn an_exit_that_is_not_to_wait_ends_what_runs() {
    let mut pool = TestPool::open(Rules { wait_on_exit: false, ..rules() });
    pool.submit([1]);
    assert_eq!(summary(&pool.on(Event::Exit { terminate: false })), ["end 1"]);
}

#[test]
fn an_exit_terminates_the_attempts_of_daemonic_workers_and_kills_them_after_the_grace() {
    let mut pool = TestPool::open(rules());
    pool.submit([1]);
    assert_eq!(summary(&pool.on(Event::Exit { terminate: true })), ["SIGTERM to 1"]);
    assert_eq!(summary(&pool.pass(Duration::from_millis(1999))), [""; 0]);
    assert_eq!(summary(&pool.pass(Duration::from_millis(1))), ["end 1"]);
    pool.dies(1, 1, Exit::Signal(9));
    assert!(pool.dispatcher.is_over());
}
