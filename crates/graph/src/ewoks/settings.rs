//! Reads the settings of pushflow in a graph file, which nodes and graphs have under the key `pushflow`
//! (`docs/ewoks.md`).

use std::path::PathBuf;
use std::time::Duration;

use pushflow_model::{CommandTask, PoolType, TaskSpec, UnknownPoolType, Value, parse_duration};

use super::error::{LoadError, LoadResult};
use super::fields::Fields;
use crate::{Retries, RunSettings};

/// The attribute that holds the settings.
pub(super) const KEY: &str = "pushflow";

const OF_GRAPH: &[&str] = &["timeout", "attempt_timeout", "max_rounds"];
const OF_NODE: &[&str] = &["timeout", "max_rounds", "retries", "pool", "rust", "command"];
const OF_RETRIES: &[&str] = &["errors", "crashes", "timeouts", "delay"];
const OF_COMMAND: &[&str] = &["stdin", "environment", "directory", "any_exit_code"];

/// How a time is written, for messages.
const TIME: &str = "a number of seconds, or a text such as \"400ms\", \"1.5s\", \"2m\", \"1h30m\" or \"1d\"";

/// Refuses settings of an object that can't have any.
pub(super) fn refuse(fields: &Fields<'_>, advice: &str) -> LoadResult<()> {
    match fields.get(KEY) {
        None => Ok(()),
        Some(_) => Err(fields.wrong(KEY, format!("there are no settings under {KEY:?} here: {advice}"))),
    }
}

/// The settings of a node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NodeSettings {
    /// The longest time of an attempt.
    pub(super) timeout: Option<Duration>,
    /// The greatest number of times that the node may run in one run.
    pub(super) max_rounds: Option<u64>,
    /// How often the scheduler tries the node again.
    pub(super) retries: Option<Retries>,
    /// The pool on which the node runs.
    pub(super) pool: Option<PoolType>,
}

impl NodeSettings {
    /// The name of a setting that only a node with a task can have, if there is one.
    pub(super) fn for_tasks(&self) -> Option<&'static str> {
        let set =
            [("timeout", self.timeout.is_some()), ("retries", self.retries.is_some()), ("pool", self.pool.is_some())];
        set.into_iter().find_map(|(name, is_set)| is_set.then_some(name))
    }
}

/// The settings of a graph.
pub(super) fn of_graph(fields: &Fields<'_>) -> LoadResult<RunSettings> {
    refuse_unknown(fields, &[OF_GRAPH])?;
    Ok(RunSettings {
        timeout: time(fields, "timeout")?,
        attempt_timeout: time(fields, "attempt_timeout")?,
        max_rounds: rounds(fields)?,
    })
}

/// The settings of a node.
pub(super) fn of_node(node: &Fields<'_>) -> LoadResult<NodeSettings> {
    if node.get(KEY).is_none() {
        return Ok(NodeSettings::default());
    }
    let fields = node.object(KEY)?;
    Ok(NodeSettings {
        timeout: time(&fields, "timeout")?,
        max_rounds: rounds(&fields)?,
        retries: retries(&fields)?,
        pool: pool(&fields)?,
    })
}

/// Reads `retries`: one number for all kinds of failures, or an object with a number for each.
fn retries(fields: &Fields<'_>) -> LoadResult<Option<Retries>> {
    let wrong = |fields: &Fields<'_>, name| {
        let message = format!("{name:?} must be a whole number from 0 to {}", u32::MAX);
        fields.wrong(name, message)
    };
    let number = |fields: &Fields<'_>, name| match fields.get(name) {
        None => Ok(0),
        Some(Value::Int(count)) => u32::try_from(*count).map_err(|_| wrong(fields, name)),
        Some(_) => Err(wrong(fields, name)),
    };
    match fields.get("retries") {
        None => Ok(None),
        Some(Value::Int(_)) => Ok(Some(Retries::of_each(number(fields, "retries")?))),
        Some(Value::Map(_)) => {
            let fields = fields.object("retries")?;
            refuse_unknown(&fields, &[OF_RETRIES])?;
            let [errors, crashes, timeouts] = ["errors", "crashes", "timeouts"].map(|name| number(&fields, name));
            let delay = pause(&fields, "delay")?.unwrap_or_default();
            Ok(Some(Retries { errors: errors?, crashes: crashes?, timeouts: timeouts?, delay }))
        }
        Some(_) => {
            let message =
                format!("\"retries\" must be a whole number, or an object with some of {}", OF_RETRIES.join(", "));
            Err(fields.wrong("retries", message))
        }
    }
}

fn pool(fields: &Fields<'_>) -> LoadResult<Option<PoolType>> {
    let Some(name) = fields.text("pool")? else { return Ok(None) };
    name.parse().map(Some).map_err(|error: UnknownPoolType| fields.wrong("pool", error.to_string()))
}

/// The task that the settings of a node name: a Rust task or a command.
pub(super) fn task(node: &Fields<'_>) -> LoadResult<Option<TaskSpec>> {
    if node.get(KEY).is_none() {
        return Ok(None);
    }
    let fields = node.object(KEY)?;
    match (fields.text("rust")?, fields.get("command")) {
        (None, None) => refuse_unknown(&fields, &[OF_NODE]).map(|()| None),
        (Some(_), Some(_)) => {
            Err(fields.invalid("\"rust\" and \"command\" both say what the node does; keep one of them"))
        }
        (Some(""), None) => Err(fields.wrong("rust", "\"rust\" must be the name of a task")),
        (Some(name), None) => refuse_unknown(&fields, &[OF_NODE]).map(|()| Some(TaskSpec::rust(name))),
        (None, Some(_)) => command(&fields).map(|task| Some(TaskSpec::Command(task))),
    }
}

fn command(fields: &Fields<'_>) -> LoadResult<CommandTask> {
    refuse_unknown(fields, &[OF_NODE, OF_COMMAND])?;
    let argv = texts(fields.list("command")?).filter(|argv| !argv.is_empty());
    let argv = argv.ok_or_else(|| {
        fields.wrong("command", "\"command\" must be a list of texts: the program, then its arguments")
    })?;
    let environment = fields.object("environment")?;
    let variables = environment.attributes().iter().map(|(name, value)| match value {
        Value::Str(text) => Ok((name.clone(), text.clone())),
        other => Err(environment.invalid(format!("the variable {name:?} must be a text, not {}", other.type_name()))),
    });
    Ok(CommandTask {
        argv,
        stdin: fields.text("stdin")?.map(str::to_owned),
        environment: variables.collect::<LoadResult<_>>()?,
        directory: fields.text("directory")?.map(PathBuf::from),
        any_exit_code: fields.boolean("any_exit_code")?.unwrap_or(false),
    })
}

fn texts(values: &[Value]) -> Option<Vec<String>> {
    values.iter().map(|value| value.as_str().map(str::to_owned)).collect()
}

/// Refuses unknown settings. Only pushflow has settings here, so that an unknown one can't belong to another program.
fn refuse_unknown(fields: &Fields<'_>, known: &[&[&str]]) -> LoadResult<()> {
    fields.refuse_misspelt(known)?;
    let known: Vec<&str> = known.iter().copied().flatten().copied().collect();
    match fields.attributes().keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(fields.invalid(format!("unknown setting {name:?}; there are {}", known.join(", ")))),
    }
}

fn time(fields: &Fields<'_>, name: &'static str) -> LoadResult<Option<Duration>> {
    let Some(value) = fields.get(name) else { return Ok(None) };
    let time = read_time(value);
    time.filter(|time| !time.is_zero()).map(Some).ok_or_else(|| not_a_time(fields, name, "above zero"))
}

/// A time that may be zero.
fn pause(fields: &Fields<'_>, name: &'static str) -> LoadResult<Option<Duration>> {
    let Some(value) = fields.get(name) else { return Ok(None) };
    read_time(value).map(Some).ok_or_else(|| not_a_time(fields, name, "that is not negative"))
}

fn read_time(value: &Value) -> Option<Duration> {
    match value {
        Value::Int(seconds) => Duration::try_from_secs_f64(*seconds as f64).ok(),
        Value::Float(seconds) => Duration::try_from_secs_f64(*seconds).ok(),
        Value::Str(text) => parse_duration(text).ok(),
        _ => None,
    }
}

fn not_a_time(fields: &Fields<'_>, name: &'static str, range: &str) -> Box<LoadError> {
    fields.wrong(name, format!("{name:?} must be a time {range}: {TIME}"))
}

fn rounds(fields: &Fields<'_>) -> LoadResult<Option<u64>> {
    match fields.get("max_rounds") {
        None => Ok(None),
        Some(Value::Int(rounds)) if *rounds > 0 => Ok(Some(rounds.unsigned_abs())),
        Some(_) => Err(fields.wrong("max_rounds", "\"max_rounds\" must be a whole number above zero")),
    }
}
