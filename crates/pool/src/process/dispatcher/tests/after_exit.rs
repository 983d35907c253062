//! What a worker said before it ended, heard after it.

use super::*;

#[test]
fn a_result_that_is_heard_after_its_worker_has_gone_counts() {
    let mut pool = TestPool::open(rules());
    pool.submit([1]);
    let worker = WorkerId(1);
    pool.on(Event::Exited { worker, exit: Exit::Code(0), peak_memory_kib: 0, begun: Some(AttemptId(1)) });
    pool.on(Event::OutputDrained { worker });
    let before = summary(&pool.on(Event::Reaped { worker }));
    assert!(!before.iter().any(|action| action.contains("failed")), "{before:?}");
    let mut heard = summary(&pool.finish(1, 1));
    heard.extend(summary(&pool.on(Event::ChannelClosed { worker, garbage: None })));
    assert!(heard.contains(&"1 finished".to_owned()), "{heard:?}");
}

#[test]
fn a_worker_that_has_gone_without_closing_its_channel_is_waited_for_no_longer_than_needed() {
    let mut pool = TestPool::open(rules());
    pool.submit([1]);
    let worker = WorkerId(1);
    pool.on(Event::Exited { worker, exit: Exit::Code(3), peak_memory_kib: 0, begun: Some(AttemptId(1)) });
    pool.on(Event::OutputDrained { worker });
    pool.on(Event::Reaped { worker });
    let failed = summary(&pool.pass(Duration::from_secs(2)));
    assert!(failed.contains(&"1 failed: WorkerLost".to_owned()), "{failed:?}");
}
