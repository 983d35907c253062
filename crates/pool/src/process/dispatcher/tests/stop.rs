//! Workers that a signal stops.

use super::*;

#[test]
fn a_worker_that_is_stopped_is_reported_with_the_attempt_that_waits_for_it_and_is_given_no_more() {
    let mut world = World::open(rules());
    world.submit([1]);
    let (worker, pid) = (WorkerId(1), 1001);
    assert_eq!(essence(&world.on(Event::Stopped { worker, pid, signal: 19 })), ["1 stopped in 1001 by 19"]);
    assert_eq!(essence(&world.submit([2])), ["start 2"]);
    assert_eq!(essence(&world.on(Event::Continued { worker, pid })), ["1 goes on in 1001"]);
    assert_eq!(essence(&world.finish(1, 1)), ["1 finished", "2 started in 1001", "run 2 on 1"]);
}

#[test]
fn a_process_that_works_for_an_attempt_and_is_stopped_is_reported_with_it() {
    let mut world = World::open(rules());
    world.submit([1]);
    let worker = WorkerId(1);
    assert_eq!(essence(&world.on(Event::Stopped { worker, pid: 77, signal: 19 })), ["1 stopped in 77 by 19"]);
    assert_eq!(essence(&world.on(Event::Continued { worker, pid: 77 })), ["1 goes on in 77"]);
    assert_eq!(essence(&world.finish(1, 1)), ["1 finished"]);
    assert_eq!(essence(&world.submit([2])), ["2 started in 1001", "run 2 on 1"]);
}

#[test]
fn an_idle_worker_that_is_stopped_is_ended_and_replaced() {
    let mut world = World::open(Rules { max_workers: 1, ..rules() });
    let stopped = Event::Stopped { worker: WorkerId(1), pid: 1001, signal: 19 };
    assert_eq!(essence(&world.on(stopped)), ["end 1"]);
    world.submit([1]);
    world.submit([1]);
    assert_eq!(essence(&world.dies(1, 0, Exit::Signal(9))), ["drain 1", "worker 1001 ended", "start 2"]);
}

#[test]
fn a_worker_whose_last_answer_comes_after_it_was_stopped_is_ended_too() {
    let mut world = World::open(rules());
    world.submit([1]);
    world.on(Event::Stopped { worker: WorkerId(1), pid: 1001, signal: 19 });
    assert_eq!(essence(&world.finish(1, 1)), ["1 finished", "end 1"]);
}
