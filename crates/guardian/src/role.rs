//! The roles of the worker program, and the variables that tell a program its role.

/// The variable that tells a program its role. The program removes it from its environment before anything else.
pub const ROLE: &str = "PUSHFLOW_ROLE";
/// The value of [`ROLE`] for a guardian.
pub const GUARDIAN: &str = "guardian";
/// The value of [`ROLE`] for a worker.
pub const WORKER: &str = "worker";
/// The value of [`ROLE`] for a keeper that a warm interpreter has forked.
pub const KEEPER: &str = "keeper";
/// The variable that names the run directory of the guardian to a worker and to all processes that tasks start. A
/// guardian that one of these processes starts makes its run directory inside this one.
pub const RUN_DIRECTORY: &str = "PUSHFLOW_RUN_DIRECTORY";

/// Prints to standard error why a process could not serve in its role. The scheduler reads that of a worker; that of a
/// guardian is `/dev/null`.
pub fn report_failure(role: &str, served: &std::io::Result<()>) {
    if let Err(error) = served {
        eprintln!("pushflow: could not serve as {role}: {error}");
    }
}
