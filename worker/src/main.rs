//! The program `pushflow-worker`: started by schedulers to serve tasks, and as their guardian.

// So that the probe's tasks are in this program; the library does not have them, nor programs that use it.
use pushflow_probe_tasks as _;

fn main() -> std::process::ExitCode {
    pushflow_worker::main()
}
