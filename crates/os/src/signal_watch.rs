//! [`SignalWatch`]: receives a signal as a byte in a pipe, and restores the previous action of the signal afterwards.
//!
//! A signal handler may do very little. This one writes the number of the signal into a pipe, of which the process has
//! one and never closes it. An ordinary thread reads the pipe.

use std::io::{self, PipeReader, PipeWriter};
use std::sync::{Mutex, OnceLock, PoisonError};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use rustix::fs::OFlags;

use crate::limits::name_call;

/// The writing end of the pipe, which is never closed.
static PIPE: OnceLock<PipeWriter> = OnceLock::new();

/// A signal that is written to the pipe instead of having its previous action, until this value is dropped.
#[derive(Debug)]
pub struct SignalWatch {
    signal: Signal,
    before: SigAction,
}

/// Makes the pipe to which the signals are written. Only the first call of a process returns it, since one thread reads
/// it.
///
/// Each byte is the number of a signal.
///
/// # Errors
/// When the process has no file descriptors left.
pub fn signal_pipe() -> io::Result<Option<PipeReader>> {
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    if PIPE.get().is_some() {
        return Ok(None);
    }
    let (reader, writer) = io::pipe()?;
    // If the handler waited for room in the pipe, the thread that it interrupted would wait too.
    rustix::fs::fcntl_setfl(&writer, OFlags::NONBLOCK).map_err(name_call("fcntl(F_SETFL) of the signal pipe"))?;
    PIPE.get_or_init(|| writer);
    Ok(Some(reader))
}

impl SignalWatch {
    /// Writes a signal to the pipe from now on.
    ///
    /// # Errors
    /// For a signal that can't be caught.
    pub fn start(signal: Signal) -> io::Result<SignalWatch> {
        let action = SigAction::new(SigHandler::Handler(write_number), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: the handler makes an atomic load and the system call `write`, which are async-signal-safe, and leaves
        // errno unchanged.
        let before = unsafe { sigaction(signal, &action) };
        let before = before.map_err(name_call(format_args!("sigaction for {signal}")))?;
        Ok(SignalWatch { signal, before })
    }

    /// Writes a signal to the pipe from now on, unless the process ignores it, as it does with SIGHUP under `nohup`:
    /// then the signal stays ignored.
    ///
    /// # Errors
    /// For a signal that can't be caught.
    pub fn start_unless_ignored(signal: Signal) -> io::Result<Option<SignalWatch>> {
        let watch = SignalWatch::start(signal)?;
        // Dropping the watch restores the previous action.
        Ok(Some(watch).filter(|watch| !matches!(watch.before.handler(), SigHandler::SigIgn)))
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        // SAFETY: the action was the one of this signal before. The code that had set it made sure that it is sound.
        let replaced = unsafe { sigaction(self.signal, &self.before) };
        if let Ok(replaced) = replaced
            && !is_ours(replaced.handler())
        {
            // Other code has set an action meanwhile, which stays.
            // SAFETY: as above.
            unsafe { sigaction(self.signal, &replaced) }.ok();
        }
    }
}

/// Whether this is the handler of this module.
fn is_ours(handler: SigHandler) -> bool {
    let ours: extern "C" fn(libc::c_int) = write_number;
    matches!(handler, SigHandler::Handler(function) if std::ptr::fn_addr_eq(function, ours))
}

/// The signal handler.
extern "C" fn write_number(signal: libc::c_int) {
    let number = signal.to_le_bytes()[0];
    let errno = nix::errno::Errno::last_raw();
    if let Some(pipe) = PIPE.get() {
        // Nothing is lost if the pipe is full: it holds the numbers of thousands of signals already.
        rustix::io::write(pipe, &[number]).ok();
    }
    nix::errno::Errno::set_raw(errno);
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::raise;
    use std::io::Read;

    #[test]
    fn a_signal_is_written_to_the_pipe_and_its_action_is_restored() {
        let mut reader = signal_pipe().unwrap().unwrap();
        assert!(signal_pipe().unwrap().is_none(), "there is one reader");
        let watch = SignalWatch::start(Signal::SIGUSR1).unwrap();
        raise(Signal::SIGUSR1).unwrap();
        let mut number = [0];
        reader.read_exact(&mut number).unwrap();
        assert_eq!(i32::from(number[0]), Signal::SIGUSR1 as i32);
        drop(watch);
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: the default action runs no code of this process.
        let after = unsafe { sigaction(Signal::SIGUSR1, &default) }.unwrap();
        assert!(matches!(after.handler(), SigHandler::SigDfl));
    }

    #[test]
    fn an_ignored_signal_stays_ignored() {
        let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
        // SAFETY: an ignored signal runs no code of this process.
        unsafe { sigaction(Signal::SIGUSR2, &ignore) }.unwrap();
        assert!(SignalWatch::start_unless_ignored(Signal::SIGUSR2).unwrap().is_none());
        raise(Signal::SIGUSR2).unwrap();
    }
}
