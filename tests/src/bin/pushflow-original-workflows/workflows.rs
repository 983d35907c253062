//! Workflows 1 to 6, 10 and 11.

use std::time::Duration;

use pushflow::{Data, EndingKind, EventKind, RunOptions, TaskSpec, Workflow};

use crate::tasks::{chain, exception, submodel, value, watching};

fn named(name: &str) -> Data {
    Data::new().with("name", name)
}

/// Start, a submodel of one task, stop.
fn around_submodel(task: &str) -> Workflow {
    let mut workflow = Workflow::new("submodel");
    let (start, stop) = (workflow.start().unwrap(), workflow.stop().unwrap());
    let submodel = workflow.submodel("Submodel", &submodel(task)).unwrap();
    workflow.connect(start, submodel.port("In").unwrap()).unwrap();
    workflow.connect(submodel.port("Out").unwrap(), stop).unwrap();
    workflow
}

pub fn one_task(options: &RunOptions) {
    let mut workflow = Workflow::new("1");
    let actors = [workflow.start(), workflow.task("greet", TaskSpec::rust("greet")), workflow.stop()];
    chain(&mut workflow, &actors.map(Result::unwrap));
    let outcome = workflow.run(named("Jerry"), options).unwrap();
    assert_eq!(value(&outcome, "reply"), Some("Hello Jerry!".into()));
}

pub fn an_error(options: &RunOptions) {
    let mut workflow = Workflow::new("2");
    let actors =
        [workflow.start(), workflow.task("raise", TaskSpec::rust("raise")), workflow.stop()].map(Result::unwrap);
    chain(&mut workflow, &actors);
    workflow.on_error(actors[2]).unwrap();
    let outcome = workflow.run(named("Tom"), options).unwrap();
    assert_eq!(exception(&outcome).as_deref(), Some("a task that always fails"));
    assert_eq!(value(&outcome, "name"), Some("Tom".into()));
    assert_eq!((outcome.ending.kind, outcome.ending.handled_errors), (EndingKind::Finished, 1));
}

pub fn a_submodel(options: &RunOptions) {
    let outcome = around_submodel("greet").run(named("Cat"), options).unwrap();
    assert_eq!(value(&outcome, "reply"), Some("Hello Cat!".into()));
}

pub fn an_error_in_a_submodel(options: &RunOptions) {
    let mut workflow = around_submodel("raise");
    let stop = workflow.graph().stop().unwrap();
    workflow.on_error(stop).unwrap();
    let outcome = workflow.run(named("Dog"), options).unwrap();
    assert_eq!(exception(&outcome).as_deref(), Some("a task that always fails"));
    assert!(outcome.is_finished());
}

pub fn a_timeout(options: &RunOptions) {
    let workflow = around_submodel("greet_after");
    let short = options.clone().timeout(Duration::from_millis(50));
    let outcome = workflow.run(named("Dog").with("sleep", true), &short).unwrap();
    assert_eq!(outcome.ending.kind, EndingKind::TimedOut);
    assert!(outcome.ending.result.is_none());
    let outcome = workflow.run(named("Dog").with("sleep", false), options).unwrap();
    assert_eq!(value(&outcome, "reply"), Some("Hello Dog!".into()));
}

pub fn around_a_submodel(options: &RunOptions) {
    let mut workflow = Workflow::new("6");
    let (start, stop) = (workflow.start().unwrap(), workflow.stop().unwrap());
    let before = workflow.task("add 1", TaskSpec::rust("add")).unwrap();
    let after = workflow.task("add 2", TaskSpec::rust("add")).unwrap();
    let inside = workflow.submodel("Submodel 6", &submodel("add")).unwrap();
    chain(&mut workflow, &[start, before, inside.port("In").unwrap()]);
    chain(&mut workflow, &[inside.port("Out").unwrap(), after, stop]);
    let outcome = workflow.run(Data::new().with("value", 1), options).unwrap();
    assert_eq!(value(&outcome, "value"), Some(4.into()));
}

pub fn a_loop(options: &RunOptions) {
    let mut workflow = Workflow::new("10");
    let (start, stop) = (workflow.start().unwrap(), workflow.stop().unwrap());
    let add = workflow.task("add", TaskSpec::rust("add")).unwrap();
    let compare = workflow.task("compare", TaskSpec::rust("compare")).unwrap();
    let check = workflow.router("check", "do_continue", ["true", "false"]).unwrap();
    chain(&mut workflow, &[start, add, compare, check]);
    workflow.connect_port(check, "true", add).unwrap();
    workflow.connect_port(check, "false", stop).unwrap();
    let outcome = workflow.run(Data::new().with("value", 1).with("limit", 10), options).unwrap();
    assert_eq!(value(&outcome, "value"), Some(10.into()));
}

pub fn twenty_triggers(options: &RunOptions) {
    let mut workflow = Workflow::new("11");
    let (start, stop) = (workflow.start().unwrap(), workflow.stop().unwrap());
    let gather = workflow.task("gather", TaskSpec::rust("gather")).unwrap();
    for number in 0..20 {
        let add = workflow.task(format!("add {number}"), TaskSpec::rust("add")).unwrap();
        chain(&mut workflow, &[start, add, gather]);
    }
    workflow.connect(gather, stop).unwrap();
    let (options, gathered) =
        watching(options, move |event| matches!(event, EventKind::AttemptFinished { actor, .. } if *actor == gather));
    let outcome = workflow.run(Data::new().with("value", 1), &options).unwrap();
    assert_eq!(gathered.try_iter().count(), 20);
    assert_eq!(value(&outcome, "value"), Some(2.into()));
}
