//! The benchmark of pushflow. `scripts/bench.sh --peers FILE` runs the same workloads on the libraries that users could
//! choose instead.
//!
//! Prints one JSON object a line: `value` is the median over the repeats inside one warm process. It is a time per item,
//! where smaller is better, unless the unit says otherwise. Compare figures only with those of the same run.

mod arguments;
mod tasks;
mod workloads;

use std::process::ExitCode;

fn main() -> ExitCode {
    pushflow::init();
    match arguments::Arguments::of_process().and_then(|arguments| workloads::run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pushflow-benchmark: {error}");
            ExitCode::from(2)
        }
    }
}
