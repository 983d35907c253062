//! The tasks of the suite.

use std::fs;
use std::path::Path;
use std::time::Duration;

use pushflow::{Cancelled, Data, TaskContext, Value, task};

type Failure = Box<dyn std::error::Error>;

/// The pause between two checks of a condition.
const PAUSE: Duration = Duration::from_millis(1);

/// Returns its inputs.
#[task]
fn echoes(value: Value) -> Data {
    Data::new().with("value", value)
}

/// Prints it, too.
#[task]
fn prints(value: i64) -> Data {
    println!("{value}");
    Data::new().with("value", value)
}

#[task]
fn fails(message: String) -> Result<(), String> {
    Err(message)
}

#[task]
fn panics(message: String) {
    panic!("{message}");
}

/// Writes a file when it runs, and goes on until it is interrupted.
#[task]
fn runs_until_interrupted(folder: String, name: String, context: &TaskContext) -> Result<(), Failure> {
    fs::write(Path::new(&folder).join(name), "")?;
    Ok(context.sleep(Duration::from_secs(3600))?)
}

/// Writes a file when it runs, and goes on until the file `go` exists.
#[task]
fn waits(folder: String, name: String, context: &TaskContext) -> Result<Data, Failure> {
    fs::write(Path::new(&folder).join(name), "")?;
    while !Path::new(&folder).join("go").exists() {
        context.sleep(PAUSE)?;
    }
    Ok(Data::new().with("pid", i64::from(std::process::id())))
}

/// Adds its number to a file.
#[task]
fn notes(folder: String, number: i64) -> Result<(), Failure> {
    let mut file = fs::OpenOptions::new().append(true).create(true).open(Path::new(&folder).join("notes"))?;
    Ok(std::io::Write::write_all(&mut file, format!("{number}\n").as_bytes())?)
}

/// The number of tasks of this kind that run at the same time, with this one.
#[task]
fn counts_itself(folder: String, number: i64, context: &TaskContext) -> Result<Data, Failure> {
    let own = Path::new(&folder).join(number.to_string());
    fs::write(&own, "")?;
    let running = fs::read_dir(&folder)?.count();
    nap(context)?;
    fs::remove_file(own)?;
    Ok(Data::new().with("running", i64::try_from(running)?))
}

fn nap(context: &TaskContext) -> Result<(), Cancelled> {
    context.sleep(PAUSE)
}
