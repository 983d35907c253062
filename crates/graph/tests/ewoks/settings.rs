//! The settings of pushflow, under the key `pushflow`.

use std::time::Duration;

use pushflow_graph::{Passing, Retries, RunSettings, Work};
use pushflow_model::{PoolType, TaskSpec};

use crate::{load, one_node, refused, task};

#[test]
fn settings_where_there_are_none_are_refused_with_what_to_do() {
    let settings = r#""pushflow": {"timeout": 3}"#;
    let port = r#"{"id": "a", "task_type": "ppfport"}"#;
    let link = format!(r#"{{"source": "a", "target": "a", {settings}}}"#);
    for (text, advice) in [
        (format!(r#"{{"nodes": [{port}], {settings}}}"#), "put them into \"graph\""),
        (format!(r#"{{"nodes": [{port}], "links": [{link}]}}"#), "give them to the nodes that it links"),
        (
            format!(r#"{{"nodes": [{{"id": "g", "graph": {{"nodes": [{port}]}}, {settings}}}]}}"#),
            "give them to the nodes of its graph",
        ),
    ] {
        let expected = format!("there are no settings under \"pushflow\" here: {advice}");
        assert!(refused(&text).ends_with(&expected), "{}", refused(&text));
    }
}

#[test]
fn a_graph_has_limits_for_its_runs() {
    let text = r#"{"graph": {"pushflow": {"timeout": "2m", "attempt_timeout": 1.5, "max_rounds": 100}}}"#;
    let expected = RunSettings::default()
        .with_timeout(Duration::from_secs(120))
        .with_attempt_timeout(Duration::from_millis(1500))
        .with_max_rounds(100);
    assert_eq!(load(text).unwrap().settings(), expected);
    assert_eq!(load("{}").unwrap().settings(), RunSettings::default());
}

#[test]
fn a_node_has_limits_of_its_own() {
    let text = one_node(
        r#""task_type": "method", "task_identifier": "a.b", "pushflow": {"timeout": "400ms", "max_rounds": 3}"#,
    );
    let graph = load(&text).unwrap();
    let a = graph.find("a").unwrap();
    assert_eq!(graph.time_limits().collect::<Vec<_>>(), [(a, Duration::from_millis(400))]);
    assert_eq!(graph.round_limits().collect::<Vec<_>>(), [(a, 3)]);
}

#[test]
fn a_node_is_tried_again_and_has_a_pool_of_its_own() {
    let settings = |settings: &str| {
        let text = one_node(&format!(r#""task_type": "method", "task_identifier": "a.b", "pushflow": {settings}"#));
        let graph = load(&text).unwrap();
        let retries: Vec<_> = graph.retries().map(|(_, retries)| retries).collect();
        (retries, graph.pool_of(graph.find("a").unwrap()))
    };
    assert_eq!(settings("{}"), (vec![], None));
    assert_eq!(settings(r#"{"retries": 3, "pool": "thread"}"#), (vec![Retries::of_each(3)], Some(PoolType::Thread)));
    assert_eq!(settings(r#"{"retries": {"errors": 2, "delay": 0}}"#).0, [Retries::default().with_errors(2)]);
    let each = Retries::default().with_errors(2).with_crashes(1).with_delay(Duration::from_millis(1500));
    assert_eq!(settings(r#"{"retries": {"errors": 2, "crashes": 1, "delay": "1.5s"}}"#).0, [each]);
}

#[test]
fn a_node_can_run_a_rust_task_or_a_command() {
    let graph = load(&one_node(r#""pushflow": {"rust": "resize"}"#)).unwrap();
    let rust = task(&graph, "a");
    assert_eq!((&rust.work, rust.passing), (&Work::Attempt(TaskSpec::rust("resize")), Passing::Result));
    assert_eq!(
        task(&load(&one_node(r#""pushflow": {"command": ["wc", "-l"]}"#)).unwrap(), "a").work,
        Work::Attempt(TaskSpec::command(["wc", "-l"]))
    );
    let text = one_node(
        r#""pushflow": {"command": ["cat"], "stdin": "{x}", "environment": {"A": "b"}, "directory": "/tmp", "any_exit_code": true}"#,
    );
    let graph = load(&text).unwrap();
    let Work::Attempt(TaskSpec::Command(command)) = &task(&graph, "a").work else { panic!("it is a command") };
    assert_eq!(command.stdin.as_deref(), Some("{x}"));
    assert_eq!(command.environment, [("A".to_owned(), "b".to_owned())]);
    assert!(command.directory.is_some() && command.any_exit_code);
}

#[test]
fn a_setting_that_makes_no_sense_is_refused() {
    let node = |settings: &str| refused(&one_node(&format!(r#""task_type": "ppfport", "pushflow": {settings}"#)));
    let own = |settings: &str| refused(&one_node(&format!(r#""pushflow": {settings}"#)));
    let cases = [
        (node(r#"{"max_rounds": 0}"#), r#"node "a": "max_rounds" must be a whole number above zero"#),
        (
            node(r#"{"timeout": "five"}"#),
            r#"node "a": "timeout" must be a time above zero: a number of seconds, or a text such as "400ms", "1.5s", "2m", "1h30m" or "1d""#,
        ),
        (node(r#"{"timeout": 5}"#), r#"node "a": a node that runs no task can't have "timeout"; leave it out"#),
        (node(r#"{"pool": "thread"}"#), r#"node "a": a node that runs no task can't have "pool"; leave it out"#),
        (node(r#"{"retries": 1}"#), r#"node "a": a node that runs no task can't have "retries"; leave it out"#),
        (own(r#"{"rust": "x", "pool": "proces"}"#), r#"node "a": there is no pool "proces"; did you mean "process"?"#),
        (own(r#"{"rust": "x", "retries": -1}"#), r#"node "a": "retries" must be a whole number from 0 to 4294967295"#),
        (
            own(r#"{"rust": "x", "retries": "3"}"#),
            r#"node "a": "retries" must be a whole number, or an object with some of errors, crashes, timeouts, delay"#,
        ),
        (
            own(r#"{"rust": "x", "retries": {"crashes": 1.5}}"#),
            r#"node "a": "crashes" must be a whole number from 0 to 4294967295"#,
        ),
        (
            own(r#"{"rust": "x", "retries": {"errors": 1, "delay": -1}}"#),
            r#"node "a": "delay" must be a time that is not negative: a number of seconds, or a text such as "400ms", "1.5s", "2m", "1h30m" or "1d""#,
        ),
        (
            own(r#"{"rust": "x", "retries": {"crash": 1}}"#),
            r#"node "a": unknown setting "crash"; there are errors, crashes, timeouts, delay"#,
        ),
        (node(r#"{"timeuot": 5}"#), r#"node "a": unknown attribute "timeuot"; did you mean "timeout"?"#),
        (
            node(r#"{"colour": 5}"#),
            r#"node "a": unknown setting "colour"; there are timeout, max_rounds, retries, pool, rust, command"#,
        ),
        (
            node(r#"{"rust": "x"}"#),
            r#"node "a": "task_type" and "pushflow" both say what the node does; keep one of them"#,
        ),
        (node("7"), r#"node "a": must be an object with attributes, not an integer"#),
        (
            own(r#"{"rust": "x", "command": ["y"]}"#),
            r#"node "a": "rust" and "command" both say what the node does; keep one of them"#,
        ),
        (own(r#"{"rust": ""}"#), r#"node "a": "rust" must be the name of a task"#),
        (
            own(r#"{"rust": "x", "stdin": ""}"#),
            r#"node "a": unknown setting "stdin"; there are timeout, max_rounds, retries, pool, rust, command"#,
        ),
        (own(r#"{"command": []}"#), r#"node "a": "command" must be a list of texts: the program, then its arguments"#),
        (
            own(r#"{"command": ["x"], "environment": {"A": 1}}"#),
            r#"node "a": the variable "A" must be a text, not an integer"#,
        ),
        (
            refused(r#"{"graph": {"pushflow": {"pool": "x"}}}"#),
            "graph: unknown setting \"pool\"; there are timeout, attempt_timeout, max_rounds",
        ),
    ];
    for (message, expected) in cases {
        assert_eq!(message, expected);
    }
}
