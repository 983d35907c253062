//! The program `pushflow-worker`: started by schedulers to serve tasks, and as their guardian.

fn main() -> std::process::ExitCode {
    pushflow_worker::main()
}
