//! Messages that a worker sent before it exited, and that arrive afterwards.

use super::*;

#[test]
fn a_result_that_arrives_after_its_worker_was_reaped_counts() {
    let mut pool = TestPool::open(rules());
    pool.submit([1]);
    let worker = WorkerId(1);
    pool.on(Event::Exited { worker, exit: Exit::Code(0), peak_memory_kib: 0, begun: Some(AttemptId(1)) });
    pool.on(Event::OutputDrained { worker });
    let before = summary(&pool.on(Event::Reaped { worker }));
    assert!(!before.iter().any(|action| action.contains("failed")), "{before:?}");
    let mut arrived = summary(&pool.finish(1, 1));
    arrived.extend(summary(&pool.on(Event::ChannelClosed { worker, garbage: None })));
    assert!(arrived.contains(&"1 finished".to_owned()), "{arrived:?}");
}

#[test]
fn the_channel_of_a_reaped_worker_is_waited_for_no_longer_than_needed() {
    let mut pool = TestPool::open(rules());
    pool.submit([1]);
    let worker = WorkerId(1);
    pool.on(Event::Exited { worker, exit: Exit::Code(3), peak_memory_kib: 0, begun: Some(AttemptId(1)) });
    pool.on(Event::OutputDrained { worker });
    pool.on(Event::Reaped { worker });
    let failed = summary(&pool.pass(Duration::from_secs(2)));
    assert!(failed.contains(&"1 failed: WorkerLost".to_owned()), "{failed:?}");
}
