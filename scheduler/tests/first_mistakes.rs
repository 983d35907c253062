//! The first mistakes of somebody who uses the library: each is refused before a task runs, and the message says what
//! to correct.

use pushflow::{
    Condition, Data, GraphError, Link, Passing, PoolType, PythonOptions, RunError, RunOptions, Task, TaskSpec,
    WarningKind, Workflow, task,
};

#[task]
fn double(number: i64) -> Data {
    Data::new().with("number", 2 * number)
}

#[task]
fn huge() -> u64 {
    u64::MAX
}

/// Start, one task, stop.
fn one_task(task: &str) -> Workflow {
    let mut workflow = Workflow::new("one task");
    let (start, stop) = (workflow.start().unwrap(), workflow.stop().unwrap());
    let actor = workflow.task("doubler", TaskSpec::rust(task)).unwrap();
    workflow.connect(start, actor).unwrap();
    workflow.connect(actor, stop).unwrap();
    workflow
}

fn inputs() -> Data {
    Data::new().with("number", 21)
}

#[test]
fn a_task_name_that_is_not_there_is_refused_with_the_nearest_one() {
    let error = one_task("dubble").run(inputs(), &RunOptions::new().pool(PoolType::Thread)).unwrap_err();
    assert!(matches!(error, RunError::Task { .. }), "{error:?}");
    let message = error.to_string();
    assert!(message.starts_with("actor \"doubler\": no task named \"dubble\" is in this program"), "{message}");
    assert!(message.contains("\"double\"") && message.contains("pushflow::init()"), "{message}");
    assert!(std::error::Error::source(&error).is_none(), "its text is in the message already");
    // Before a process pool is opened, too: workers would not know the task either.
    let on_processes = one_task("dubble").run(inputs(), &RunOptions::new().pool(PoolType::Process)).unwrap_err();
    assert_eq!(on_processes.to_string(), message);
}

#[test]
fn a_link_to_an_actor_of_another_workflow_is_refused() {
    let mut workflow = one_task("double");
    let start = workflow.graph().start().unwrap();
    let elsewhere = Workflow::new("another").task("doubler", TaskSpec::rust("double")).unwrap();
    let error = workflow.connect(start, elsewhere).unwrap_err();
    assert!(matches!(error, GraphError::ForeignActor { .. }), "{error:?}");
    let message = "the target of the link from \"Start actor\" is not an actor of graph \"one task\": pass an id that this graph gave \
                   when the actor was added to it";
    assert_eq!(error.to_string(), message);
}

#[test]
fn a_name_that_is_no_pool_is_refused_with_the_nearest_one() {
    let error = "tread".parse::<PoolType>().unwrap_err();
    assert_eq!(error.to_string(), "there is no pool \"tread\"; did you mean \"thread\"?");
}

#[test]
fn a_wrong_environment_is_refused_where_the_run_begins_unless_the_options_name_a_pool() {
    let test = "a_wrong_environment_is_refused_where_the_run_begins_unless_the_options_name_a_pool";
    const VARIABLE: &str = "PUSHFLOW_ENVIRONMENT";
    if std::env::var_os(VARIABLE).is_none_or(|value| value != "gren") {
        // Once more in a process of its own, since a test can't set a variable of its own process.
        let program = std::env::current_exe().unwrap();
        let child = std::process::Command::new(program).args(["--exact", test]).env(VARIABLE, "gren").output().unwrap();
        assert!(child.status.success() && String::from_utf8_lossy(&child.stdout).contains("1 passed"), "{child:?}");
        return;
    }
    let error = one_task("double").run(inputs(), &RunOptions::new()).unwrap_err();
    let message = "PUSHFLOW_ENVIRONMENT: there is no environment \"gren\"; did you mean \"green\"?";
    assert_eq!(error.to_string(), message);
    assert!(matches!(error, RunError::Pool(_)), "{error:?}");
    // The pool refuses it too, when it is opened.
    let error = one_task("double").run(inputs(), &RunOptions::new().pool(PoolType::Thread)).unwrap_err();
    assert_eq!(error.to_string(), message);
}

#[test]
fn an_interpreter_in_the_options_of_the_pool_is_refused() {
    let mut options = RunOptions::new().pool(PoolType::Thread);
    options.pool_options.python = Some(PythonOptions::new("python3", Vec::new()));
    let error = one_task("double").run(inputs(), &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "RunOptions::pool_options.python must be None: name the interpreter in RunOptions::python, which counts for all \
         pools of the run"
    );
}

#[test]
fn a_run_that_did_not_finish_has_no_result_and_says_why() {
    let options = RunOptions::new().pool(PoolType::Thread);
    let failure = one_task("double").run(Data::new(), &options).unwrap().into_result().unwrap_err();
    let message = failure.to_string();
    let (ending, error) = message.split_once("\n  ").unwrap();
    assert!(ending.starts_with("the run failed after "), "{message}");
    assert!(error.starts_with("actor \"doubler\" (attempt 1): BadInput: "), "{message}");
    assert!(std::error::Error::source(&failure).is_none(), "its text is in the message already");
    assert_eq!(format!("{failure:?}"), message);
    assert_eq!(failure.into_outcome().errors()[0].name, "doubler");
    let result = one_task("double").run(inputs(), &options).unwrap().into_result().unwrap();
    assert_eq!(result.value("number").unwrap(), Some(&42.into()));
}

#[task]
fn fails_for_a_reason() -> Result<(), pushflow::TaskError> {
    let mut error = pushflow::TaskError::new(pushflow::ErrorKind::BadInput, "the file\nis empty");
    error.type_name = "EmptyFile".to_owned();
    error.traceback = vec!["caused by: nobody wrote it".to_owned()];
    error.stderr = vec!["opening x.toml".to_owned()];
    Err(error)
}

#[test]
fn a_failure_shows_what_is_known_of_it_and_a_task_may_make_its_own() {
    let options = RunOptions::new().pool(PoolType::Thread);
    let failure = one_task("fails_for_a_reason").run(inputs(), &options).unwrap().into_result().unwrap_err();
    let lines: Vec<String> = failure.to_string().lines().skip(1).map(str::to_owned).collect();
    let expected = [
        "  actor \"doubler\" (attempt 1): EmptyFile: the file",
        "    is empty",
        "      caused by: nobody wrote it",
        "    the last lines on its standard error:",
        "      opening x.toml",
    ];
    assert_eq!(lines, expected);
    assert_eq!(failure.outcome().errors()[0].error.kind, pushflow::ErrorKind::BadInput);
}

#[test]
fn an_observer_that_panics_hears_nothing_more_and_the_run_goes_on() {
    let heard = std::sync::Arc::<std::sync::atomic::AtomicUsize>::default();
    let (first, second) = (heard.clone(), heard.clone());
    let count = |heard: &std::sync::atomic::AtomicUsize| heard.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let panics = move |_: &pushflow::WorkflowEvent| {
        count(&first);
        panic!("an observer panics");
    };
    let goes_on = move |event: &pushflow::WorkflowEvent| {
        if let pushflow::EventKind::RunEnded { .. } = event.kind {
            count(&second);
        }
    };
    let options = RunOptions::new().pool(PoolType::Thread).observer(panics).observer(goes_on);
    assert!(one_task("double").run(inputs(), &options).unwrap().is_finished());
    assert_eq!(heard.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[test]
fn an_observer_that_asks_the_run_to_explain_itself_gets_no_answer_at_once() {
    let handle = std::sync::Arc::<std::sync::OnceLock<pushflow::StopHandle>>::default();
    let asked = handle.clone();
    let observer = move |event: &pushflow::WorkflowEvent| {
        if let pushflow::EventKind::AttemptStarted { .. } = event.kind {
            let handle = asked.get().expect("it was set before the run began");
            assert!(handle.explain().is_none());
            handle.stop("enough");
        }
    };
    let options = RunOptions::new().pool(PoolType::Thread).observer(observer);
    let run = one_task("waits_for_its_end").prepare(inputs(), &options).unwrap();
    handle.set(run.stop_handle()).unwrap();
    let ending = run.wait().ending.kind;
    assert_eq!(ending, pushflow::EndingKind::Stopped { reason: "enough".to_owned() }, "the stop was not late");
}

#[task]
fn waits_for_its_end(context: &pushflow::TaskContext) -> Result<(), pushflow::Cancelled> {
    context.sleep(std::time::Duration::from_secs(3600))
}

#[test]
fn a_second_start_is_refused_as_one() {
    let mut workflow = Workflow::new("twice");
    workflow.start().unwrap();
    let error = workflow.start().unwrap_err();
    assert!(matches!(error, GraphError::SecondStartOrStop { kind: "start", .. }), "{error:?}");
}

#[test]
fn a_pool_in_this_process_runs_rust_tasks_without_a_worker_program_and_says_why_no_others() {
    let options = pushflow::PoolOptions::new().worker("/no/such/worker");
    let pool = pushflow::TaskPool::open(PoolType::Thread, &options).unwrap();
    let doubled = pool.submit(TaskSpec::rust("double"), inputs()).unwrap().wait().unwrap();
    assert_eq!(doubled.value("number").unwrap(), Some(&42.into()));
    let error = pool.submit(TaskSpec::command(["true"]), Data::new()).unwrap().wait().unwrap_err();
    let message = "this pool runs Rust tasks only, since it can start no process: the worker program \"/no/such/worker\" \
                   (--worker or PoolOptions::worker) is not there";
    assert_eq!((error.kind, error.message.as_str()), (pushflow::ErrorKind::Unsupported, message));
}

#[test]
fn a_closure_observes_a_run() {
    let (sender, events) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let observer =
        move |event: &pushflow::WorkflowEvent| sender.lock().unwrap().send(format!("{:?}", event.kind)).unwrap();
    let options = RunOptions::new().pool(PoolType::Thread).observer(observer);
    assert!(format!("{options:?}").contains("observers: 1"), "{options:?}");
    one_task("double").run(inputs(), &options).unwrap();
    drop(options);
    assert_eq!(events.iter().last().unwrap(), "RunEnded { ending: Finished }");
}

/// The message of a run of one task that fails, without the line that says how long the run took.
fn failure(task: &str, inputs: Data) -> String {
    let outcome = one_task(task).run(inputs, &RunOptions::new().pool(PoolType::Thread)).unwrap();
    let message = outcome.into_result().unwrap_err().to_string();
    message.split_once("\n  ").unwrap().1.to_owned()
}

#[test]
fn an_input_that_is_missing_or_does_not_fit_fails_the_task_with_its_name() {
    let missing = "actor \"doubler\" (attempt 1): BadInput: task \"double\" needs the input \"number\", which is missing \
                   (there is: \"numbr\")";
    assert_eq!(failure("double", Data::new().with("numbr", 21)), missing);
    let unfit = "actor \"doubler\" (attempt 1): BadInput: task \"double\": input \"number\" does not fit: expected i64, \
                 found the text \"x\"";
    assert_eq!(failure("double", Data::new().with("number", "x")), unfit);
}

#[test]
fn a_result_that_no_value_can_hold_fails_the_task_and_says_why() {
    let message = "actor \"doubler\" (attempt 1): BadResult: task \"huge\" returned what can't travel: the integer \
                   18446744073709551615 does not fit 64 bits with sign: pass it as text";
    assert_eq!(failure("huge", inputs()), message);
}

#[test]
fn a_link_that_does_not_fit_its_ends_is_refused() {
    let mut workflow = one_task("double");
    let actor = |workflow: &Workflow, name| workflow.graph().find(name).unwrap();
    let (start, task, stop) =
        (actor(&workflow, "Start actor"), actor(&workflow, "doubler"), actor(&workflow, "Stop actor"));
    let router = workflow.router("router", "number", [1]).unwrap();
    let refused = [
        (workflow.connect(stop, task), "a link can't leave the stop actor \"Stop actor\": a run ends there"),
        (workflow.connect(task, start), "a link can't enter the start actor \"Start actor\": a run begins there"),
        (workflow.connect(router, task), "a link out of router actor \"router\" needs a port; it has 1, \"other\""),
        (
            workflow.connect_port(router, 2, task),
            "port 2 is not defined for router actor \"router\"; it has 1, \"other\"",
        ),
        (
            workflow.task("doubler", TaskSpec::rust("double")).map(drop),
            "there are two actors named \"doubler\": give each a name of its own",
        ),
    ];
    for (result, message) in refused {
        assert_eq!(result.unwrap_err().to_string(), message);
    }
}

#[test]
fn a_condition_on_an_output_that_the_task_never_has_is_a_warning() {
    let mut workflow = one_task("double");
    let list = Task::from(TaskSpec::command(["ls", "{folder}"])).with_passing(Passing::Result);
    let list = workflow.task("list", list).unwrap();
    let (start, doubler) = (workflow.graph().start().unwrap(), workflow.graph().find("doubler").unwrap());
    workflow.connect(start, list).unwrap();
    let succeeded = Link::direct().with_condition(Condition::equals("exitcode", 0));
    workflow.link(list, doubler, succeeded).unwrap();
    let warnings = workflow.check();
    let found: Vec<_> = warnings.iter().filter(|warning| warning.kind == WarningKind::ConditionNeverHolds).collect();
    let [warning] = found[..] else { panic!("{warnings:?}") };
    let message = "the link from \"list\" to \"doubler\" is never taken: its condition is on the output \"exitcode\", and \
                   the task of \"list\" has only stdout, stderr, exit_code: name one of these in the condition; did you \
                   mean \"exit_code\"?";
    assert_eq!((warning.actor, warning.to_string().as_str()), (Some(list), message));
}

#[test]
fn a_command_runs_under_the_guardian_only_where_there_is_a_worker_program() {
    let mut workflow = Workflow::new("command");
    let start = workflow.start().unwrap();
    let task = workflow.task("list", TaskSpec::command(["ls"])).unwrap();
    workflow.connect(start, task).unwrap();
    let stop = workflow.stop().unwrap();
    workflow.connect(task, stop).unwrap();
    let mut options = RunOptions::new().pool(PoolType::Thread);
    options.pool_options.worker = Some("/no/such/worker".into());
    let error = workflow.run(Data::new(), &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the worker program \"/no/such/worker\" (--worker or PoolOptions::worker) is not there"
    );
}
