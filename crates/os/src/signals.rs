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

/// Gives SIGCHLD its default action: where it is ignored, as a parent may have left it, the kernel reaps children unseen,
/// and tells nobody of their end.
pub fn set_default_sigchld() {
    // SAFETY: the default action runs no code of ours. It is not refused for SIGCHLD.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Lets every signal through and gives each its default action: the state that a fresh program starts in.
///
/// # Errors
/// When the kernel refuses.
pub fn reset_for_exec() -> io::Result<()> {
    set_actions(&[], &[]);
    Ok(pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
}

/// Lets every signal through and gives each the action that it has when a Rust program begins: the default one, but
/// SIGPIPE is ignored, and SIGSEGV and SIGBUS keep the runtime's handler that tells of a stack overflow.
///
/// For a copy of a Rust program that goes on without `exec`.
///
/// # Errors
/// When the kernel refuses.
pub fn reset_for_forked_worker() -> io::Result<()> {
    set_actions(&[libc::SIGSEGV, libc::SIGBUS], &[libc::SIGPIPE]);
    Ok(pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
}

/// Gives every signal its default action, the nameless real-time ones too, but for those that are kept as they are, and
/// those that are to be ignored.
fn set_actions(kept: &[libc::c_int], ignored: &[libc::c_int]) {
    for number in (1..=libc::SIGRTMAX()).filter(|number| !kept.contains(number)) {
        let action = if ignored.contains(&number) { libc::SIG_IGN } else { libc::SIG_DFL };
        // SAFETY: neither action runs code of ours. Refused are SIGKILL, SIGSTOP, and those that the C library keeps.
        unsafe { libc::signal(number, action) };
    }
}

/// The name of a signal by its number, such as `SIGSEGV`; `signal 50` for one without a name.
pub fn name(number: i32) -> String {
    Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{name, set_default_sigchld};
    use nix::sys::signal::{SigHandler, Signal, signal};
    use std::process::Command;

    #[test]
    fn a_child_can_be_waited_for_after_sigchld_was_ignored() {
        // SAFETY: ignoring runs no code of ours. Other tests of this process wait for no child by SIGCHLD.
        unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.unwrap();
        set_default_sigchld();
        assert!(Command::new("true").status().unwrap().success());
    }

    #[test]
    fn signals_are_named() {
        assert_eq!(name(9), "SIGKILL");
        assert_eq!(name(50), "signal 50");
    }
}
