//! [`ExitHook`]: lets an ordinary thread work before the process exits.
//!
//! An exit handler (`atexit(3)`) may do next to nothing: the thread-local variables are already destroyed, and a
//! library that needs them aborts the process. The handler therefore only writes to a pipe and waits for the answer. A
//! thread that was started earlier does the work. Exit handlers run when `main` returns or panics, and when something
//! calls `exit`. They do not run when a signal ends the process, nor with `_exit` and `abort`.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::sync::OnceLock;

use rustix::io::retry_on_intr;

/// The process that registered the exit handler, and the handler's ends of the two pipes, which are never closed.
struct Handler {
    process: u32,
    exits: PipeWriter,
    allowed: PipeReader,
}

static HANDLER: OnceLock<Handler> = OnceLock::new();

/// The other ends of the pipes, for the thread that works before the process exits.
#[derive(Debug)]
pub struct ExitHook {
    exits: PipeReader,
    allowed: PipeWriter,
}

impl ExitHook {
    /// Registers the exit handler. Only the first call of a process returns a hook, since one thread has it.
    ///
    /// From then on an exit waits until [`ExitHook::allow_exit`] is called or the hook is dropped. A process that was
    /// forked from this one exits without waiting.
    ///
    /// # Errors
    /// When the process has no file descriptors or no memory left.
    pub fn register() -> io::Result<Option<ExitHook>> {
        let (exits, write_exits) = io::pipe()?;
        let (read_allowed, allowed) = io::pipe()?;
        let handler = Handler { process: std::process::id(), exits: write_exits, allowed: read_allowed };
        if HANDLER.set(handler).is_err() {
            return Ok(None);
        }
        // SAFETY: the handler is a function of the program, which is there until the process ends, and does not unwind.
        match unsafe { libc::atexit(before_exit) } {
            0 => Ok(Some(ExitHook { exits, allowed })),
            _ => Err(io::Error::new(io::ErrorKind::OutOfMemory, "atexit: no memory for another handler")),
        }
    }

    /// Waits until the process exits. The exit itself waits until the hook is dropped.
    pub fn wait_for_exit(&mut self) {
        while matches!(self.exits.read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::Interrupted) {}
    }

    /// Lets the process exit.
    pub fn allow_exit(mut self) {
        // The pipe is empty and has room. Dropping the hook has the same effect.
        self.allowed.write_all(&[0]).ok();
    }
}

/// The exit handler: writes a byte for the thread, and waits until the thread has answered or dropped the hook.
extern "C" fn before_exit() {
    let Some(handler) = HANDLER.get() else { return };
    if std::process::id() != handler.process {
        return;
    }
    rustix::io::write(&handler.exits, &[0]).ok();
    retry_on_intr(|| rustix::io::read(&handler.allowed, &mut [0])).ok();
}
