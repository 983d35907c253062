//! The black-box tests: real programs, real processes, killed, fed garbage, and counted.
//!
//! - [`examples`]: what the README shows.
//! - [`worker_identity`]: which program runs the tasks.
//! - [`bad_input`]: mistakes before and in a run are reported in one sentence, with the right exit code.
//! - [`rust_tasks`]: what `#[task]` functions do to their process, on each pool.
//! - [`originals`]: the workflows that the original is tested with, on each pool.
//! - [`original_tasks`]: the Python tasks of the original's own tests, as they are installed.
//! - [`start_methods`]: workers have the same properties, however they are started.
//! - [`slow_starts`]: interpreters that are slow to start or never do.
//! - [`graph_files`]: ewoks graph files, and what is printed of their runs.
//! - [`green_environment`]: the pool `gevent`, chosen and refused, and its commands.
//! - [`green_python`]: Python tasks on the pool `gevent`.
//! - [`lifetime`]: whichever process is killed, all processes of the run end and none is left.
//! - [`nested`]: pools that tasks open.
//! - [`node_settings`]: nodes with a pool of their own, and nodes that are tried again.
//! - [`pool_suite`]: the suite that every pool passes.
//! - [`single_process`]: processes that tasks start.
//! - [`probe`]: the compatibility probe: each kind of task on each pool, and the probe interrupted and killed.
//! - [`deadlines`]: attempts that take longer than they may.
//! - [`differential`]: random ewoks graphs, here and in the original engine.
//! - [`doctor`]: the report of `pushflow doctor` on good and bad machines.
//! - [`output`]: the output of tasks.
//! - [`surroundings`]: blocked signals, variables and folders of the program that starts pushflow.
//! - [`standard_output`]: the result alone, whatever tasks print, and how a run is shown meanwhile.
//! - [`output_order`]: many short tasks that print.
//! - [`policy_facts`]: the parent, group, session and signals of each process.
//! - [`random_kills`]: SIGKILL at random moments.
//! - [`orphans`]: many short processes, and threads that end.
//! - [`python`]: Python tasks on every pool.
//! - [`python_arrays`]: arrays of Python tasks, which no socket carries.
//! - [`ewoks_tasks`]: tasks that `ewokscore` runs, on every pool.
//! - [`ewoks_examples`]: the example workflows of ewokscore and ewoksppf, compared with the original.
//! - [`warm`]: modules that are imported before the first task, once for all workers or by each.
//! - [`cost`]: memory, processes and files that do not grow with the number of attempts.
//! - [`guardians`]: runs that tasks start, and guardians that are stopped or killed, leave no folder behind.
//! - [`keepers`]: keepers that are stopped or killed, what is left of them, and a scheduler that does not read.
//! - [`file_limits`]: few open files.
//! - [`inherited`]: ignored signals, limits and the umask of the program that starts pushflow.
//! - [`large_values`]: values that are too long for a message.
//! - [`late_init`]: programs that call `init()` when threads run already.
//! - [`embedding`]: a crate outside the workspace that uses the library.
//!
//! Every test starts programs of its own in folders of its own, and asserts that no process of them is left.

mod bad_input;
mod cost;
mod deadlines;
mod differential;
mod doctor;
mod embedding;
mod ewoks_examples;
mod ewoks_tasks;
mod examples;
mod file_limits;
mod graph_files;
mod green_environment;
mod green_python;
mod guardians;
mod inherited;
mod keepers;
mod large_values;
mod late_init;
mod lifetime;
mod nested;
mod node_settings;
mod original_tasks;
mod originals;
mod orphans;
mod output;
mod output_order;
mod policy_facts;
mod pool_suite;
mod probe;
mod python;
mod python_arrays;
mod random_kills;
mod rust_tasks;
mod single_process;
mod slow_starts;
mod standard_output;
mod start_methods;
mod surroundings;
mod warm;
mod worker_identity;

use std::path::Path;

use pushflow_tests::run::{Finished, Program};

/// The program `pushflow-test-program`, which runs a workflow of one of its tasks; see its source for the settings. It is
/// started in the environment that its pool needs.
fn test_program(settings: &serde_json::Value) -> Program {
    let program = Program::at(Path::new(env!("CARGO_BIN_EXE_pushflow-test-program"))).arg(settings.to_string());
    if settings["pool"] == "gevent" { program.env("PUSHFLOW_ENVIRONMENT", "green") } else { program }
}

/// The program is refused with this sentence before it runs anything: exit code 2, nothing on standard output.
#[track_caller]
fn assert_refused(program: Program, sentence: &str) -> Finished {
    let finished = program.run();
    finished.assert_code(2).assert_error(sentence);
    assert_eq!(finished.stdout, "");
    finished
}
