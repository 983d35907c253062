//! Blocked signals, and the resetting of signals to the state that a new program expects.

use std::io;

use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, signal};

/// Blocks all signals for the calling thread but SIGKILL and SIGSTOP, which can't be blocked.
///
/// # Errors
/// When the kernel refuses.
pub fn block_all() -> io::Result<()> {
    Ok(pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?)
}

/// Gives SIGCHLD its default action.
///
/// A process may inherit SIGCHLD as ignored. Then the kernel reaps its children at once, and `wait` finds none.
pub fn set_default_sigchld() {
    // SAFETY: the default action runs no code of this process.
    let set = unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) };
    set.expect("the action of SIGCHLD can be set");
}

/// Unblocks all signals and gives each its default action: the state in which a program starts.
///
/// # Errors
/// When the kernel refuses.
pub fn reset_for_exec() -> io::Result<()> {
    set_actions(&[], &[]);
    Ok(pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
}

/// Unblocks all signals and gives each the action that it has when a Rust program begins.
///
/// That is the default action for most. SIGPIPE is ignored, and SIGSEGV and SIGBUS keep the handler of the Rust
/// runtime, which reports a stack overflow. This is for a forked process that continues as a Rust program without
/// `exec`.
///
/// # Errors
/// When the kernel refuses.
pub fn reset_for_forked_worker() -> io::Result<()> {
    set_actions(&[libc::SIGSEGV, libc::SIGBUS], &[libc::SIGPIPE]);
    Ok(pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
}

/// Leaves the action of the signals in `kept`, ignores those in `ignored`, and gives all others their default action,
/// real-time signals too, which `nix` can't name.
fn set_actions(kept: &[libc::c_int], ignored: &[libc::c_int]) {
    for number in (1..=libc::SIGRTMAX()).filter(|number| !kept.contains(number)) {
        let action = if ignored.contains(&number) { libc::SIG_IGN } else { libc::SIG_DFL };
        // SAFETY: neither action runs code of this process. The call fails for SIGKILL, SIGSTOP, and the signals that
        // the C library reserves; their actions don't change.
        unsafe { libc::signal(number, action) };
    }
}

#[cfg(test)]
mod tests {
    use super::set_default_sigchld;
    use nix::sys::signal::{SigHandler, Signal, signal};
    use pushflow_isolated_test::is_isolated;
    use std::process::Command;

    /// In a process of its own, since the other tests wait for their children.
    #[test]
    fn a_child_can_be_waited_for_after_sigchld_was_ignored() {
        if !is_isolated("signals::tests::a_child_can_be_waited_for_after_sigchld_was_ignored") {
            return;
        }
        // SAFETY: an ignored signal runs no code of this process.
        unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.unwrap();
        set_default_sigchld();
        assert!(Command::new("true").status().unwrap().success());
    }
}
