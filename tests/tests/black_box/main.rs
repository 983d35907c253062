//! The black-box tests: real programs, real processes, killed, fed garbage, and counted.
//!
//! - [`examples`]: what the README shows.
//! - [`worker_identity`]: which program runs the tasks.
//! - [`bad_input`]: what is wrong before or in a run is said in one sentence, with the right exit code.
//! - [`rust_tasks`]: what `#[task]` functions do to their process, on each pool.
//! - [`originals`]: the workflows that the original is tested with, on each pool.
//! - [`original_tasks`]: the Python tasks of the original's own tests, as they are installed.
//! - [`start_methods`]: workers are the same to everybody, however they are started.
//! - [`slow_starts`]: interpreters that are slow to start or never do.
//! - [`graph_files`]: ewoks graph files, and what is printed of their runs.
//! - [`green_environment`]: the pool `gevent`, chosen and refused, and its commands.
//! - [`green_python`]: Python tasks on the pool `gevent`.
//! - [`lifetime`]: whatever is killed, nothing is left, and everything ends.
//! - [`nested`]: pools that tasks open.
//! - [`node_settings`]: nodes with a pool of their own, and nodes that are tried again.
//! - [`pool_suite`]: what every pool does, asked of each.
//! - [`single_process`]: processes that tasks start.
//! - [`probe`]: what runs on which pool, interrupted and killed too.
//! - [`deadlines`]: attempts that take longer than they may.
//! - [`differential`]: random ewoks graphs, here and in the original engine.
//! - [`doctor`]: what `pushflow doctor` says of good and bad machines.
//! - [`output`]: what tasks print.
//! - [`surroundings`]: blocked signals, variables and folders where it is started.
//! - [`standard_output`]: the result alone, whatever tasks print, and how a run is shown meanwhile.
//! - [`output_order`]: many short tasks that print.
//! - [`policy_facts`]: what each process is to the kernel.
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
//! - [`inherited`]: ignored signals, limits and the umask of whoever starts pushflow.
//! - [`large_values`]: values that are too long for a message.
//! - [`late_init`]: programs that call `init()` when threads run already.
//! - [`embedding`]: a crate of somebody else that uses the library.
//!
//! Every test starts programs of its own in folders of its own, and asserts that nothing of them is left.

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

/// The tests' own program, which runs a workflow of one of its tasks; see its source for the settings. It is in the
/// environment that its pool needs.
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
