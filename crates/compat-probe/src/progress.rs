//! The progress bar: on standard error, if that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for so many executions; where standard error is no terminal nothing is shown.
pub(crate) fn bar(executions: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}, {eta} left{msg}");
    ProgressBar::new(executions as u64).with_style(style.expect("the template is right"))
}
