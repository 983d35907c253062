//! The example workflows that the original has as tests have their results on every pool; see the program for what these
//! are.

use std::path::Path;

use pushflow_tests::run::Program;

/// Pools, and how their workers are started.
const POOLS: [[&str; 2]; 5] = [
    ["thread", "default"],
    ["gevent", "default"],
    ["process", "spawn"],
    ["process", "forkserver"],
    ["process", "fork"],
];

#[track_caller]
fn assert_on_every_pool(workflow: &str) {
    for pool in POOLS {
        let program = Program::at(Path::new(env!("CARGO_BIN_EXE_pushflow-original-workflows")));
        let environment = if pool[0] == "gevent" { "green" } else { "plain" };
        let finished = program.env("PUSHFLOW_ENVIRONMENT", environment).arg(workflow).args(pool).run();
        assert_eq!((finished.code(), finished.stdout.as_str()), (Some(0), "ok\n"), "on {pool:?}: {finished:#?}");
    }
}

#[test]
fn workflow_1_runs_one_task() {
    assert_on_every_pool("1");
}

#[test]
fn workflow_2_hands_an_error_to_the_workflows_handler() {
    assert_on_every_pool("2");
}

#[test]
fn workflow_3_runs_a_task_in_a_submodel() {
    assert_on_every_pool("3");
}

#[test]
fn workflow_4_hands_an_error_in_a_submodel_to_the_workflows_handler() {
    assert_on_every_pool("4");
}

#[test]
fn workflow_5_times_out_without_a_result_and_runs_again() {
    assert_on_every_pool("5");
}

#[test]
fn workflow_6_adds_before_in_and_after_a_submodel() {
    assert_on_every_pool("6");
}

#[test]
fn workflow_10_goes_round_until_its_limit() {
    assert_on_every_pool("10");
}

#[test]
fn workflow_11_runs_one_task_for_each_of_twenty_triggers() {
    assert_on_every_pool("11");
}

#[test]
fn a_soft_stop_lets_the_running_task_end_and_hands_the_next_one_to_its_handler() {
    assert_on_every_pool("stop softly");
}

#[test]
fn a_forced_stop_interrupts_the_running_task() {
    assert_on_every_pool("stop by force");
}

#[test]
fn a_stop_after_the_end_has_no_effect_and_nothing_to_explain() {
    assert_on_every_pool("stop too late");
}
