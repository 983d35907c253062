//! Some requests at a time, each on a thread that waits for its process.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// Asks the requests of the numbers below `count`, at most `jobs` at a time, and hands each answer on as it comes, with its
/// number.
///
/// It ends early once `ask` gives nothing. The threads stay until all is over: a process dies with the thread that
/// started it.
pub(crate) fn ask_all<A: Send>(
    count: usize,
    jobs: NonZeroUsize,
    ask: impl Fn(usize) -> Option<A> + Sync,
    mut answered: impl FnMut(usize, A),
) {
    let (next, ask) = (&AtomicUsize::new(0), &ask);
    let (sender, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs.get().min(count) {
            let sender = sender.clone();
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let response = if number < count { ask(number) } else { None };
                    let Some(response) = response else { return };
                    if sender.send((number, response)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        answers.iter().for_each(|(number, response)| answered(number, response));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: NonZeroUsize = NonZeroUsize::new(3).unwrap();

    #[test]
    fn every_question_is_asked_once() {
        let mut answers = Vec::new();
        ask_all(100, THREE, |number| Some(2 * number), |number, response| answers.push((number, response)));
        answers.sort_unstable();
        assert_eq!(answers, (0..100).map(|number| (number, 2 * number)).collect::<Vec<_>>());
    }

    #[test]
    fn after_an_interruption_nothing_more_is_asked() {
        let mut answers = Vec::new();
        ask_all(100, THREE, |number| (number < 10).then_some(()), |number, ()| answers.push(number));
        answers.sort_unstable();
        assert_eq!(answers, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn no_question_needs_no_answer() {
        ask_all(0, THREE, |_| Some(()), |_, ()| unreachable!("nothing was asked"));
    }
}
