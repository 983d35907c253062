//! [`SignalWatch`]: hearing signals as bytes in a pipe, and putting back what was there before.
//!
//! The handler does the one thing that a handler may: it writes the signal's number into a pipe, which exists once for
//! the whole process and for ever. Who reads the pipe is an ordinary thread.

use std::io::{self, PipeReader, PipeWriter};
use std::sync::{Mutex, OnceLock, PoisonError};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use rustix::fs::OFlags;

use crate::limits::name_call;

/// The writing end of the pipe; never closed.
static PIPE: OnceLock<PipeWriter> = OnceLock::new();

/// One signal that is heard instead of having its action, until this is dropped.
#[derive(Debug)]
pub struct SignalWatch {
    signal: Signal,
    before: SigAction,
}

/// Makes the pipe that signals are heard through; `None` for all but the first call, since there is one reader.
///
/// Each byte that is read is the number of a signal.
///
/// # Errors
/// When there are no file descriptors left.
pub fn signal_pipe() -> io::Result<Option<PipeReader>> {
    static MAKING: Mutex<()> = Mutex::new(());
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    if PIPE.get().is_some() {
        return Ok(None);
    }
    let (reader, writer) = io::pipe()?;
    // A handler that waited for room in the pipe would stop whatever thread it interrupted.
    rustix::fs::fcntl_setfl(&writer, OFlags::NONBLOCK).map_err(name_call("fcntl(F_SETFL) of the signal pipe"))?;
    PIPE.get_or_init(|| writer);
    Ok(Some(reader))
}

impl SignalWatch {
    /// Hears a signal from now on.
    ///
    /// # Errors
    /// For a signal that can't be caught.
    pub fn start(signal: Signal) -> io::Result<SignalWatch> {
        let action = SigAction::new(SigHandler::Handler(write_number), SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: the handler does nothing but an atomic load and the system call `write`, both async-signal-safe, and
        // leaves errno as it was.
        let before = unsafe { sigaction(signal, &action) };
        let before = before.map_err(name_call(format_args!("sigaction for {signal}")))?;
        Ok(SignalWatch { signal, before })
    }

    /// Hears a signal from now on; `None` if it is ignored, as SIGHUP is under `nohup`, and so stays ignored.
    ///
    /// # Errors
    /// For a signal that can't be caught.
    pub fn start_unless_ignored(signal: Signal) -> io::Result<Option<SignalWatch>> {
        let watch = SignalWatch::start(signal)?;
        // Dropping the watch puts the ignoring back.
        Ok(Some(watch).filter(|watch| !matches!(watch.before.handler(), SigHandler::SigIgn)))
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        // SAFETY: what is put back was there before, put there by who owns it.
        let replaced = unsafe { sigaction(self.signal, &self.before) };
        if let Ok(replaced) = replaced
            && !is_ours(replaced.handler())
        {
            // Somebody has set another one meanwhile: that one stays.
            // SAFETY: as above.
            unsafe { sigaction(self.signal, &replaced) }.ok();
        }
    }
}

fn is_ours(handler: SigHandler) -> bool {
    let ours: extern "C" fn(libc::c_int) = write_number;
    matches!(handler, SigHandler::Handler(function) if std::ptr::fn_addr_eq(function, ours))
}

extern "C" fn write_number(signal: libc::c_int) {
    let number = signal.to_le_bytes()[0];
    let errno = nix::errno::Errno::last_raw();
    if let Some(pipe) = PIPE.get() {
        // A full pipe holds more signals than anybody can have meant.
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
        // SAFETY: the default action runs no code of ours.
        let after = unsafe { sigaction(Signal::SIGUSR1, &default) }.unwrap();
        assert!(matches!(after.handler(), SigHandler::SigDfl));
    }

    #[test]
    fn an_ignored_signal_stays_ignored() {
        let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
        // SAFETY: ignoring runs no code of ours.
        unsafe { sigaction(Signal::SIGUSR2, &ignore) }.unwrap();
        assert!(SignalWatch::start_unless_ignored(Signal::SIGUSR2).unwrap().is_none());
        raise(Signal::SIGUSR2).unwrap();
    }
}
