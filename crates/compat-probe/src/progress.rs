//! The progress bar of the probe, on standard error if that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for this many executions. It is hidden where standard error is no terminal.
pub(crate) fn bar(executions: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}, {eta} left{msg}");
    ProgressBar::new(executions as u64).with_style(style.expect("the template is right"))
}
