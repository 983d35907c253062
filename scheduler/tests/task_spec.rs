//! What `#[task]` makes beside the function: `greet::spec()`, which describes the task to a workflow.
#![deny(missing_docs, dead_code, non_camel_case_types, unreachable_pub, clippy::all, clippy::pedantic)]
#![expect(clippy::needless_pass_by_value, reason = "a task takes its inputs by value")]

use pushflow::{Data, PoolType, RunOptions, TaskSpec, Value, Workflow, task};

/// pushflow by another path, which is a name of this file only.
use pushflow as elsewhere;

#[task]
fn greet(name: String) -> Data {
    Data::new().with("greeting", format!("Hello {name}"))
}

/// Tasks that are seen from here, each in another way.
mod tasks {
    use pushflow::{Data, task};

    /// Ends a sentence.
    #[task(name = "sentences.end")]
    pub(super) fn exclaim(greeting: String) -> Data {
        Data::new().with("greeting", greeting + "!")
    }

    #[task]
    #[cfg(any())]
    fn left_out() {}

    /// Tasks of tasks.
    pub(crate) mod deeper {
        /// Does nothing.
        #[pushflow::task]
        pub(in super::super) fn r#move() {}
    }
}

/// The result of a run of these tasks, one after the other.
fn run(tasks: impl IntoIterator<Item = TaskSpec>, inputs: Data) -> Data {
    let mut workflow = Workflow::new("test");
    let mut last = workflow.start().unwrap();
    for (number, task) in tasks.into_iter().enumerate() {
        let actor = workflow.task(number.to_string(), task).unwrap();
        workflow.connect(last, actor).unwrap();
        last = actor;
    }
    let stop = workflow.stop().unwrap();
    workflow.connect(last, stop).unwrap();
    let options = RunOptions::new().pool(PoolType::Thread);
    workflow.run(inputs, &options).unwrap().ending.result.expect("the run finishes")
}

#[test]
fn a_workflow_is_built_with_the_specs_of_its_tasks() {
    let result = run([greet::spec(), tasks::exclaim::spec()], Data::new().with("name", "World"));
    assert_eq!(result.value("greeting"), Ok(Some(&Value::from("Hello World!"))));
}

#[test]
fn the_function_is_still_called_by_its_name() {
    assert_eq!(greet("you".to_owned()).value("greeting"), Ok(Some(&Value::from("Hello you"))));
}

#[test]
fn a_spec_has_the_name_of_the_task() {
    assert_eq!(greet::spec(), TaskSpec::rust("greet"));
    assert_eq!(tasks::exclaim::spec(), TaskSpec::rust("sentences.end"));
    assert_eq!(tasks::deeper::r#move::spec(), TaskSpec::rust("move"));
}

#[test]
fn an_import_of_the_function_imports_its_spec() {
    use tasks::deeper::r#move as moves;

    moves();
    assert_eq!(moves::spec(), TaskSpec::rust("move"));
}

#[test]
fn a_task_in_a_function_has_its_spec_there() {
    use elsewhere as nearby;

    #[task(crate = nearby)]
    fn double(value: i64) -> Data {
        Data::new().with("value", 2 * value)
    }

    let result = run([double::spec()], Data::new().with("value", 21));
    assert_eq!(result.value("value"), Ok(Some(&Value::from(42))));
}
