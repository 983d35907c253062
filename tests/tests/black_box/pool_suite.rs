//! One suite over all pools, plain and scaling: the cases are in the program `pushflow-pool-suite`, which knows nothing of
//! the pool that it is given.

use std::path::Path;

use pushflow::PoolType;
use pushflow_tests::run::{Finished, Program};

/// Green tasks need their environment, and have no workers.
const GREEN: &str = "gevent";

fn suite() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pushflow-pool-suite"))
}

fn run(program: Program, case: &str, pool: &str, scaling: &str) -> Finished {
    let environment = if pool == GREEN { "green" } else { "plain" };
    program.args([case, pool, scaling]).env("PUSHFLOW_ENVIRONMENT", environment).run()
}

fn pools() -> impl Iterator<Item = &'static str> {
    PoolType::ALL.into_iter().map(PoolType::name)
}

fn holds_on(pools: impl Iterator<Item = &'static str>, case: &str) {
    for pool in pools {
        for scaling in ["scaling", "fixed"] {
            let finished = run(Program::at(suite()), case, pool, scaling);
            assert_eq!(finished.code(), Some(0), "{pool}, {scaling}: {finished:#?}");
        }
    }
}

#[test]
fn a_task_that_is_submitted_gives_its_result_to_who_waits_for_it() {
    holds_on(pools(), "submit");
}

#[test]
fn each_callback_is_called_once_and_one_that_panics_harms_nobody() {
    holds_on(pools(), "callback_once");
}

#[test]
fn a_task_that_fails_or_panics_gives_its_error_and_the_pool_goes_on() {
    holds_on(pools(), "error");
}

#[test]
fn an_interrupt_ends_what_runs_and_what_waits_is_run() {
    holds_on(pools(), "interrupt");
}

#[test]
fn a_closed_pool_refuses_tasks_and_runs_those_that_it_has() {
    holds_on(pools(), "close");
}

#[test]
fn a_join_waits_for_all_tasks_but_no_longer_than_it_may() {
    holds_on(pools(), "join");
}

#[test]
fn a_shutdown_waits_as_long_as_it_may_and_ends_the_rest() {
    holds_on(pools(), "shutdown");
}

#[test]
fn a_pool_that_is_dropped_waits_for_its_tasks() {
    holds_on(pools(), "drop");
}

#[test]
fn tasks_start_and_callbacks_are_called_in_the_order_of_submission() {
    holds_on(pools(), "order");
}

#[test]
fn more_tasks_than_workers_wait_and_none_is_lost() {
    holds_on(pools(), "backpressure");
}

#[test]
fn many_submitters_get_their_own_results() {
    holds_on(pools(), "many_submitters");
}

#[test]
fn the_options_about_its_end_are_heeded_by_a_pool_that_is_dropped() {
    holds_on(pools(), "exit_options");
}

#[test]
fn a_pool_grows_when_no_worker_is_idle_up_to_its_limit_and_uses_idle_ones_again() {
    holds_on(pools().filter(|&pool| pool != GREEN), "grows");
}

#[test]
fn idle_workers_leave_a_pool_that_scales_and_stay_in_one_that_does_not() {
    holds_on(pools().filter(|&pool| pool != GREEN), "shrinks");
}

#[test]
fn worker_processes_are_replaced_after_as_many_tasks_as_they_may_run() {
    holds_on(pools().filter(|&pool| pool != GREEN && pool != "thread"), "recycles");
}

#[test]
fn a_worker_ignores_sigint_while_it_is_idle_and_ends_its_task_by_it_while_it_is_busy() {
    holds_on(pools().filter(|&pool| pool != GREEN && pool != "thread"), "sigint");
}

#[test]
fn a_fixed_pool_that_needs_more_files_than_may_be_open_is_refused_and_a_scaling_one_is_smaller() {
    for pool in pools().filter(|&pool| pool != GREEN && pool != "thread") {
        for scaling in ["scaling", "fixed"] {
            let limited = Program::at(Path::new("/bin/sh")).args(["-c", "ulimit -n 128; exec \"$@\"", "sh"]);
            let finished = run(limited.arg(suite()), "too_few_files", pool, scaling);
            finished.assert_code(0);
            let expected = match scaling {
                "fixed" => "refused: 1000 workers do not fit: each takes ",
                _ => "workers: ",
            };
            assert!(finished.stdout.starts_with(expected), "{pool}: {finished:#?}");
        }
    }
}

#[test]
fn a_join_waits_for_callbacks() {
    holds_on(pools(), "joined_callbacks");
}

#[test]
fn times_may_be_without_end() {
    holds_on(pools(), "endless_times");
}

#[test]
fn a_task_that_prints_ends_while_the_program_holds_its_standard_output() {
    holds_on(pools().filter(|pool| !["thread", GREEN].contains(pool)), "held_stdout");
}
