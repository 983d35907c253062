//! The getting-started workflow: one task between start and stop, run in an isolated worker process.

use std::error::Error;
use std::time::Duration;

use pushflow::{Data, PoolType, RunOptions, TaskSpec, Value, Workflow, task};

#[task]
fn greet(name: String) -> Data {
    Data::new().with("reply", format!("Hello {name}!"))
}

fn main() -> Result<(), Box<dyn Error>> {
    // Each worker process is this program, started again: there this call runs the tasks, and never returns.
    pushflow::init();

    let mut workflow = Workflow::new("getting started");
    let start = workflow.start()?;
    let greeter = workflow.task("greeter", TaskSpec::rust("greet"))?;
    let stop = workflow.stop()?;
    workflow.connect(start, greeter)?;
    workflow.connect(greeter, stop)?;

    let options = RunOptions::new().pool(PoolType::Process).timeout(Duration::from_secs(15));
    let result = workflow.run(Data::new().with("name", "World"), &options)?.into_result()?;

    let reply = result.value("reply")?.and_then(Value::as_str);
    println!("{}", reply.unwrap_or("no reply"));
    assert_eq!(reply, Some("Hello World!"));
    Ok(())
}
