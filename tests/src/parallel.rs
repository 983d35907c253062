//! Runs many small experiments a few at a time, so that a table of experiments does not take minutes.

use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// How many experiments run at a time. An experiment waits most of its time.
const AT_A_TIME: usize = 4;

/// Runs every experiment and returns the results in the order of the experiments.
///
/// # Panics
/// When experiments panicked: after all have run, with the name and the message of each.
pub fn run_all<E, R>(experiments: &[E], run: impl Fn(&E) -> R + Sync) -> Vec<R>
where
    E: Display + Sync,
    R: Send,
{
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<Option<R>>> = Mutex::new(experiments.iter().map(|_| None).collect());
    let failed = Mutex::new(Vec::new());
    let work = || {
        while let Some((index, experiment)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            experiments.get(index).map(|experiment| (index, experiment))
        } {
            match catch_unwind(AssertUnwindSafe(|| run(experiment))) {
                Ok(result) => found.lock().expect("nobody panics with the lock")[index] = Some(result),
                Err(panic) => {
                    let message = format!("{experiment}: {}", text_of(panic.as_ref()));
                    failed.lock().expect("nobody panics with the lock").push(message);
                }
            }
        }
    };
    thread::scope(|scope| (0..AT_A_TIME).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().expect("nobody panics with the lock");
    assert!(failed.is_empty(), "{} of {} failed:\n{}", failed.len(), experiments.len(), failed.join("\n"));
    found.into_inner().expect("nobody panics with the lock").into_iter().flatten().collect()
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked without words").to_owned()
}
