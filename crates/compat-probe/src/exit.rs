//! The exit codes of the probe, in one place.

/// Everything is at least as good as the original.
pub(crate) const SUCCESS: u8 = 0;
/// Something is worse than the original.
pub(crate) const WORSE: u8 = 1;
/// The probe could not begin.
pub(crate) const USAGE: u8 = 2;
/// A signal ended the probe: this and the signal's number.
const SIGNALLED: u8 = 128;

/// The exit code of a probe: of `signal`, if a signal interrupted the probe, else by whether all results were good.
pub(crate) fn code(signal: Option<u8>, good: bool) -> u8 {
    match signal {
        Some(signal) => SIGNALLED + signal,
        None if good => SUCCESS,
        None => WORSE,
    }
}
