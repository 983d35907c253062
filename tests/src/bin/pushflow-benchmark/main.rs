//! pushflow's side of the benchmark: the workloads that `bench_peers.py` runs on what users would pick instead.
//!
//! Prints one JSON object a line, as that script does: `value` is the median over the repeats inside one warm process, a
//! time per item, smaller is better, unless the unit says otherwise. Figures hold only beside others of the same run
//! (`scripts/bench.sh`).

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
