//! The tasks, and the resources that a process finds out of itself.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::LazyLock;
use std::time::Duration;

use nix::sys::signal::{Signal, raise};
use pushflow::{Data, List, Value, task};
use pushflow_tests::kernel_view::mapped_segments;
use serde::Serialize;

/// The pattern that samples repeat. No buffer or page has its length.
static PATTERN: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..65_521u32).map(|number| (number ^ (number >> 8)) as u8).collect());

/// A sample: this many bytes, which differ from all other contents.
pub fn sample(bytes: usize) -> Vec<u8> {
    let mut sample = PATTERN.repeat(bytes.div_ceil(PATTERN.len()));
    sample.truncate(bytes);
    sample
}

/// Whether these bytes are a sample.
pub fn is_sample(bytes: &[u8]) -> bool {
    bytes.chunks(PATTERN.len()).all(|chunk| *chunk == PATTERN[..chunk.len()])
}

fn value(inputs: &Data) -> Result<&[u8], String> {
    match inputs.value("value").map_err(|error| error.to_string())? {
        Some(Value::Bytes(bytes)) if is_sample(bytes) => Ok(bytes),
        Some(Value::Bytes(_)) => Err("the value is not whole".into()),
        _ => Err("there is no value".into()),
    }
}

#[task]
fn makes(bytes: usize) -> Data {
    Data::new().with("value", Value::Bytes(sample(bytes).into()))
}

/// Reads the value, and returns a copy.
#[task]
fn copies(inputs: Data) -> Result<Data, String> {
    Ok(Data::new().with("value", Value::Bytes(value(&inputs)?.to_vec().into())))
}

/// Returns the value without reading it.
#[task]
fn hands_on(inputs: Data) -> Data {
    inputs.named("value").map(|value| ("value", value.clone())).into_iter().collect()
}

#[task]
fn prints(inputs: Data) -> Data {
    println!("said on standard output");
    eprintln!("said on standard error");
    inputs
}

/// Prints more than a pipe holds.
#[task]
fn prints_much(inputs: Data) -> Data {
    eprintln!("{}", "x".repeat(1 << 20));
    inputs
}

#[task]
fn checks(inputs: Data) -> Result<Data, String> {
    let length = i64::try_from(value(&inputs)?.len()).map_err(|error| error.to_string())?;
    Ok(Data::new().with("value", length))
}

/// Counts the rounds, without reading the value.
#[task]
fn counts(round: Option<i64>, limit: i64) -> Data {
    let round = round.unwrap_or(0) + 1;
    Data::new().with("round", round).with("again", round < limit)
}

/// Records the resources of this process, and makes the value of the next round.
#[task]
fn goes_on(inputs: Data) -> Result<Data, String> {
    let number = |name: &str| match inputs.value(name) {
        Ok(Some(Value::Int(number))) => *number,
        _ => 0,
    };
    if let Ok(Some(Value::Str(notes))) = inputs.value("notes") {
        let file = OpenOptions::new().create(true).append(true).open(notes);
        file.and_then(|mut file| writeln!(file, "{}", serde_json::json!(facts())))
            .map_err(|error| error.to_string())?;
    }
    let round = number("round") + 1;
    let bytes = usize::try_from(number("bytes")).map_err(|error| error.to_string())?;
    let result = Data::new().with("round", round).with("again", round < number("limit"));
    Ok(result.with("value", Value::Bytes(sample(bytes).into())))
}

/// Is killed while its result is written: a thread waits until the shared memory of the result is among the mappings, and
/// kills the process.
#[task]
fn is_killed_while_it_writes() -> Data {
    std::thread::spawn(|| {
        loop {
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
            if maps.lines().any(|line| line.contains("pushflow slab") && line.contains(" rw-s ")) {
                raise(Signal::SIGKILL).ok();
            }
        }
    });
    // Numbers are written one by one, which takes long.
    Data::new().with("value", Value::List(List::from_iter((0..2_000_000).map(|number| Value::Int(number << 40)))))
}

#[task]
fn is_killed_while_it_reads(inputs: Data) -> Result<(), String> {
    value(&inputs)?;
    raise(Signal::SIGKILL).map_err(|error| error.to_string())
}

/// Stops its whole process, with the value in its inputs.
#[task]
fn stops() {
    raise(Signal::SIGSTOP).ok();
    std::thread::sleep(Duration::from_secs(3600));
}

/// The resources of a process.
#[derive(Debug, Default, Serialize)]
pub struct Facts {
    files: usize,
    mappings: usize,
    /// Mappings of slabs.
    slabs: usize,
    /// Memory of its own, in kB.
    memory: usize,
    /// Shared memory that it has touched, in kB.
    shared: usize,
}

pub fn facts() -> Facts {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    Facts {
        files: std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
        mappings: mapped_segments(&maps),
        slabs: maps.lines().filter(|line| line.contains("pushflow slab")).count(),
        memory: field("RssAnon:"),
        shared: field("RssShmem:"),
    }
}
