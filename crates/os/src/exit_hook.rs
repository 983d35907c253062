//! [`ExitHook`]: having an ordinary thread do something before the process exits.
//!
//! An exit handler (`atexit(3)`) may do next to nothing: thread-locals are gone where it runs, and a library that needs
//! them aborts the process. So the handler only writes to a pipe and waits for the answer, and a thread that was there
//! all along does the work. Handlers run when `main` returns, when it panics, and when something calls `exit`; not when
//! a signal ends the process, nor by `_exit` or `abort`.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::sync::OnceLock;

use rustix::io::retry_on_intr;

/// What the handler uses; never closed.
struct Handler {
    process: u32,
    exits: PipeWriter,
    allowed: PipeReader,
}

static HANDLER: OnceLock<Handler> = OnceLock::new();

/// The end of the thread that does something before the process exits.
#[derive(Debug)]
pub struct ExitHook {
    exits: PipeReader,
    allowed: PipeWriter,
}

impl ExitHook {
    /// Registers the handler; `None` for all but the first call, since there is one thread.
    ///
    /// Once registered, an exit waits until the hook says that it may go on, or is dropped. A forked copy of the process
    /// exits without asking.
    ///
    /// # Errors
    /// When there are no file descriptors or no memory left.
    pub fn register() -> io::Result<Option<ExitHook>> {
        let (exits, write_exits) = io::pipe()?;
        let (read_allowed, allowed) = io::pipe()?;
        let handler = Handler { process: std::process::id(), exits: write_exits, allowed: read_allowed };
        if HANDLER.set(handler).is_err() {
            return Ok(None);
        }
        // SAFETY: the handler is a function that lives as long as the process.
        match unsafe { libc::atexit(before_exit) } {
            0 => Ok(Some(ExitHook { exits, allowed })),
            _ => Err(io::Error::new(io::ErrorKind::OutOfMemory, "atexit: no memory for another handler")),
        }
    }

    /// Waits until the process exits. It goes on when the hook is dropped.
    pub fn wait_for_exit(&mut self) {
        while matches!(self.exits.read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::Interrupted) {}
    }

    /// Lets the exit go on.
    pub fn allow_exit(mut self) {
        // A pipe whose reader waits always has room.
        self.allowed.write_all(&[0]).ok();
    }
}

/// The handler: asks the thread, and waits for its answer or its end.
extern "C" fn before_exit() {
    let Some(handler) = HANDLER.get() else { return };
    if std::process::id() != handler.process {
        return;
    }
    rustix::io::write(&handler.exits, &[0]).ok();
    retry_on_intr(|| rustix::io::read(&handler.allowed, &mut [0])).ok();
}
