//! Which round and which try it is, for tasks, observers and errors.

use std::sync::{Arc, Mutex};

use pushflow::{Data, EventKind, PoolType, RunOptions, TaskContext, TaskSpec, Workflow, WorkflowEvent, task};

#[task]
fn says_round_and_try(context: &TaskContext) -> Result<Data, String> {
    static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let mut seen = SEEN.lock().unwrap();
    seen.push(format!("{} {}", context.round(), context.try_number()));
    match (context.round(), context.try_number()) {
        (2, 1) => Err("not yet".to_owned()),
        (round, _) => Ok(Data::new().with("again", round < 3).with("seen", seen.join(", "))),
    }
}

#[test]
fn each_run_has_an_id_of_its_own_which_sorts_by_time() {
    let mut workflow = Workflow::new("nothing");
    let (start, stop) = (workflow.start().unwrap(), workflow.stop().unwrap());
    workflow.connect(start, stop).unwrap();
    let options = RunOptions::new().pool(PoolType::Thread);
    let ids: Vec<String> = (0..3).map(|_| workflow.run(Data::new(), &options).unwrap().run.to_string()).collect();
    assert!(ids.is_sorted() && ids[0] != ids[1] && ids[1] != ids[2], "{ids:?}");
    assert!(ids.iter().all(|id| id.len() == 36 && id.as_bytes()[14] == b'7'), "{ids:?}");
}

#[test]
fn a_task_and_its_events_know_the_round_and_the_try() {
    let mut workflow = Workflow::new("rounds");
    let (start, stop) = (workflow.start().unwrap(), workflow.stop().unwrap());
    let task = workflow.task("task", TaskSpec::rust("says_round_and_try")).unwrap();
    workflow.retry(task, pushflow::Retries::default().with_errors(1)).unwrap();
    let again = workflow.router("again?", "again", [true]).unwrap();
    workflow.connect(start, task).unwrap();
    workflow.connect(task, again).unwrap();
    workflow.connect_port(again, true, task).unwrap();
    workflow.connect_port(again, "other", stop).unwrap();
    let heard = Arc::<Mutex<Vec<String>>>::default();
    let hearing = heard.clone();
    let observer = move |event: &WorkflowEvent| match &event.kind {
        EventKind::AttemptStarted { tried, .. } => hearing.lock().unwrap().push(format!("started {tried}")),
        EventKind::AttemptRetried { tried, .. } => hearing.lock().unwrap().push(format!("retried {tried}")),
        _ => {}
    };
    let outcome = workflow.run(Data::new(), &RunOptions::new().pool(PoolType::Thread).observer(observer)).unwrap();
    assert_eq!(outcome.ending.handled[0].to_string(), "actor \"task\" (round 2, try 1 of 2): Error: not yet");
    let result = outcome.into_result().unwrap();
    assert_eq!(result.value("seen").unwrap(), Some(&"1 1, 2 1, 2 2, 3 1".into()));
    let expected = [
        "started try 1 of 2",
        "started round 2, try 1 of 2",
        "retried round 2, try 2 of 2",
        "started round 2, try 2 of 2",
        "started round 3, try 1 of 2",
    ];
    assert_eq!(*heard.lock().unwrap(), expected);
}
