//! The roles of the worker program, as the variable `PUSHFLOW_ROLE` names them.

/// The variable that tells a program to run as guardian or worker; taken out of the environment before anything else.
pub const ROLE: &str = "PUSHFLOW_ROLE";
/// The value of [`ROLE`] for a guardian.
pub const GUARDIAN: &str = "guardian";
/// The value of [`ROLE`] for a worker.
pub const WORKER: &str = "worker";
/// The value of [`ROLE`] for a keeper that a warm interpreter has made.
pub const KEEPER: &str = "keeper";
/// The variable that tells a worker its run directory, and a guardian that was started by a task that of the one around.
pub const RUN_DIRECTORY: &str = "PUSHFLOW_RUN_DIRECTORY";

/// Says on standard error, which the scheduler reads, why a process could not serve in its role.
pub fn report_failure(role: &str, served: &std::io::Result<()>) {
    if let Err(error) = served {
        eprintln!("pushflow: could not serve as {role}: {error}");
    }
}
