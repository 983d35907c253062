//! The exit codes of `pushflow`, in one place.

use pushflow::{EndingKind, StopSignal};

/// The run finished.
pub(crate) const FINISHED: u8 = 0;
/// The run failed since an actor's error was not handled, or the result could not be printed.
pub(crate) const FAILED: u8 = 1;
/// The usage, the graph file, the interpreter or the worker is wrong. Nothing was run.
pub(crate) const USAGE: u8 = 2;
/// The run took longer than `--timeout`.
pub(crate) const TIMED_OUT: u8 = 3;
/// Nothing was left to do, and the run had not reached its end.
pub(crate) const STALLED: u8 = 4;
/// A defect of pushflow itself.
pub(crate) const DEFECT: u8 = 70;
/// A signal stopped the run: this and the signal's number.
const SIGNALLED: u8 = 128;

/// The exit code of a run that ended like this; `signal` is the signal that stopped it, if one did.
pub(crate) fn code(ending: &EndingKind, signal: Option<StopSignal>) -> u8 {
    match ending {
        EndingKind::Finished => FINISHED,
        EndingKind::TimedOut => TIMED_OUT,
        EndingKind::Stalled => STALLED,
        EndingKind::Stopped { .. } => match signal.and_then(|signal| u8::try_from(signal.number()).ok()) {
            Some(signal) => SIGNALLED + signal,
            None => FAILED,
        },
        // `Failed`, and any kind that this program does not know yet.
        _ => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_by_a_signal_says_which() {
        let stopped = EndingKind::Stopped { reason: "SIGINT".into() };
        assert_eq!(code(&stopped, Some(StopSignal::Interrupt)), 130);
        assert_eq!(code(&stopped, Some(StopSignal::Terminate)), 143);
        assert_eq!(code(&stopped, Some(StopSignal::HangUp)), 129);
        assert_eq!(code(&EndingKind::Finished, Some(StopSignal::Interrupt)), 0);
    }
}
