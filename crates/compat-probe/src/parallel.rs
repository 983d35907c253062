//! Runs jobs on several threads, each of which waits for the process of its job.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// Calls `run` for each number below `count`, at most `jobs` calls at a time, and calls `on_result` on this thread with each
/// number and its result, as the results come.
///
/// A thread takes no further number once `run` has returned `None` to it. Each thread waits for its own processes, since a
/// process dies with the thread that started it.
pub(crate) fn run_parallel<A: Send>(
    count: usize,
    jobs: NonZeroUsize,
    run: impl Fn(usize) -> Option<A> + Sync,
    mut on_result: impl FnMut(usize, A),
) {
    let (next, run) = (&AtomicUsize::new(0), &run);
    let (sender, results) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs.get().min(count) {
            let sender = sender.clone();
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let result = if number < count { run(number) } else { None };
                    let Some(result) = result else { return };
                    if sender.send((number, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        results.iter().for_each(|(number, result)| on_result(number, result));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: NonZeroUsize = NonZeroUsize::new(3).unwrap();

    #[test]
    fn every_job_runs_once() {
        let mut results = Vec::new();
        run_parallel(100, THREE, |number| Some(2 * number), |number, result| results.push((number, result)));
        results.sort_unstable();
        assert_eq!(results, (0..100).map(|number| (number, 2 * number)).collect::<Vec<_>>());
    }

    #[test]
    fn after_an_interruption_no_further_job_starts() {
        let mut results = Vec::new();
        run_parallel(100, THREE, |number| (number < 10).then_some(()), |number, ()| results.push(number));
        results.sort_unstable();
        assert_eq!(results, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn no_job_has_no_result() {
        run_parallel(0, THREE, |_| Some(()), |_, ()| unreachable!("there was no job"));
    }
}
