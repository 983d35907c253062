//! Signals: which are blocked, and putting them back as a new program expects them.

use std::io;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};

/// Blocks every signal of the calling thread (all but SIGKILL and SIGSTOP, which can't be).
///
/// # Errors
/// When the kernel refuses.
pub fn block_all() -> io::Result<()> {
    Ok(pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?)
}

/// Lets every signal through and gives each its default action: the state that a fresh program starts in.
///
/// # Errors
/// When the kernel refuses.
pub fn reset() -> io::Result<()> {
    for signal in Signal::iterator().filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP)) {
        // SAFETY: the default action runs no code of ours.
        unsafe { nix::sys::signal::signal(signal, nix::sys::signal::SigHandler::SigDfl)? };
    }
    Ok(pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
}

/// Lets every signal through and gives each the action that it has when a Rust program begins: the default one, but
/// SIGPIPE is ignored, and SIGSEGV and SIGBUS keep the runtime's handler that tells of a stack overflow.
///
/// For a copy of a Rust program that goes on without `exec`.
///
/// # Errors
/// When the kernel refuses.
pub fn reset_copy() -> io::Result<()> {
    let kept = [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, libc::SIGBUS];
    for number in (1..=libc::SIGRTMAX()).filter(|number| !kept.contains(number)) {
        let action = if number == libc::SIGPIPE { libc::SIG_IGN } else { libc::SIG_DFL };
        // SAFETY: neither action runs code of ours. The C library keeps a few real-time signals and refuses them.
        unsafe { libc::signal(number, action) };
    }
    Ok(pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
}

/// The name of a signal by its number, such as `SIGSEGV`; `signal 50` for one without a name.
pub fn name(number: i32) -> String {
    Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn signals_are_named() {
        assert_eq!(name(9), "SIGKILL");
        assert_eq!(name(50), "signal 50");
    }
}
