//! A task's panic as a [`TaskError`], with the place where it happened.
//!
//! `catch_unwind` gives the panic's text, but not its place: only the panic hook sees that. So a hook is put in front of
//! the one that was there; it notes the place for its thread, then calls the other, which prints as ever.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

use pushflow_model::{Data, ErrorKind, TaskError};

thread_local! {
    /// Where the last panic of this thread was.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a task; its panic becomes an error.
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

/// Puts our hook in front of the one that is there, once per process. A hook that the program sets later replaces it;
/// panics then have no place, unless that hook calls ours as it should.
fn install_hook() {
    static INSTALLED: Once = Once::new();
    // A thread that unwinds may not set a hook; the next attempt does it.
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

/// Notes the place of a panic. It must not panic itself, not even where the thread's variables are gone already.
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

/// Drops a payload; one that panics again when dropped leaks what it panicked with.
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}
