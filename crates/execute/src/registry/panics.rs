//! The panic of a task as a [`TaskError`], with the source location of the panic.
//!
//! `catch_unwind` returns the text of a panic, but not its location, which only the panic hook gets. So this file installs
//! a hook in front of the previous one. The hook stores the location in a variable of its thread and calls the previous
//! hook, which prints as before.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

use pushflow_model::{Data, ErrorKind, TaskError};

thread_local! {
    /// The location of the last panic of this thread.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a task. A panic of the task becomes an error.
pub(super) fn catch(run: impl FnOnce() -> Result<Data, TaskError>) -> Result<Data, TaskError> {
    install_hook();
    PLACE.take();
    panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| {
        let place = PLACE.take();
        let mut error = TaskError::new(ErrorKind::Panicked, text(&*payload));
        error.traceback.extend(place.map(|place| format!("at {place}")));
        discard(payload);
        Err(error)
    })
}

/// Installs the hook in front of the previous one, once per process. A hook that the program sets later replaces it.
/// Errors then lack the location, unless the later hook calls the one that it replaced.
fn install_hook() {
    static INSTALLED: Once = Once::new();
    // A thread that unwinds may not set a hook; the next attempt installs it.
    if INSTALLED.is_completed() || std::thread::panicking() {
        return;
    }
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            note_place(info);
            previous(info);
        }));
    });
}

/// Stores the location of a panic. This must not panic itself, not even after the variables of the thread were destroyed.
fn note_place(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string);
    let _ = PLACE.try_with(|noted| noted.replace(place));
}

fn text(payload: &(dyn Any + Send)) -> String {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => "a panic without a message".to_owned(),
    }
}

/// Drops a payload. If the drop panics, the payload of that second panic is leaked.
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}
