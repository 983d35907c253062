//! [`PythonClasses`]: asks a Python interpreter which inputs task classes need, while a graph is loaded.
//!
//! Few graphs raise that question (see [`TaskClasses`]). For these a pool of one worker is opened, runs one attempt for
//! each class, and is closed. So the interpreter is started, watched and ended like every other, and whatever a module
//! does when it is imported, happens in that worker. A module that is not imported within the limit is ended with its
//! worker. Its output goes to standard error, since standard output is for results.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use pushflow_graph::ewoks::{LoadOptions, TaskClasses, UnknownClass};
use pushflow_green::Cancellation;
use pushflow_model::{
    AttemptId, Data, ErrorKind, EwoksClass, EwoksTask, EwoksWork, PoolType, TaskError, TaskSpec, Value,
};
use pushflow_pool::{Attempt, EventSink, OpenError, Pool, PoolEvent, PoolOptions, open_pool};

use crate::open_timeout;
use crate::options::PythonSettings;
use crate::preflight::python;

/// How long the modules of all classes may take to be imported, by default.
const LIMIT: Duration = Duration::from_secs(60);

/// How long a worker that has answered all questions may take to leave.
const LEAVE: Duration = Duration::from_secs(5);

/// A Python interpreter that is started when a graph can't be loaded without it, and ended before the loading goes on.
///
/// [`crate::Workflow::load`] and its companions use one with default settings where [`LoadOptions::classes`] is empty.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PythonClasses {
    /// The Python interpreter, and where it finds modules beside the folder of the graph file.
    pub python: PythonSettings,
    /// The worker program, as in [`PoolOptions::worker`].
    pub worker: Option<PathBuf>,
    /// How long the answers about all classes of a graph may take; 60 seconds by default.
    pub limit: Duration,
}

impl Default for PythonClasses {
    fn default() -> Self {
        PythonClasses { python: PythonSettings::default(), worker: None, limit: LIMIT }
    }
}

impl PythonClasses {
    /// The default settings: an answer within 60 seconds.
    pub fn new() -> PythonClasses {
        PythonClasses::default()
    }

    /// Sets [`PythonClasses::python`].
    #[must_use]
    pub fn python(mut self, settings: PythonSettings) -> PythonClasses {
        self.python = settings;
        self
    }

    /// Sets [`PythonClasses::worker`].
    #[must_use]
    pub fn worker(mut self, program: impl Into<PathBuf>) -> PythonClasses {
        self.worker = Some(program.into());
        self
    }

    /// Sets [`PythonClasses::limit`].
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> PythonClasses {
        self.limit = limit;
        self
    }
}

/// The options, with a [`PythonClasses`] if they name no other [`TaskClasses`].
pub(crate) fn with_classes(options: &LoadOptions) -> LoadOptions {
    let mut options = options.clone();
    options.classes.get_or_insert_with(|| Arc::new(PythonClasses::default()));
    options
}

impl TaskClasses for PythonClasses {
    fn required_inputs(&self, classes: &[EwoksClass], folder: &Path) -> Result<Vec<Vec<String>>, UnknownClass> {
        let deadline = Instant::now() + self.limit;
        let (sender, receiver) = unbounded();
        let mut pool = self.open(folder, sender).map_err(|reason| UnknownClass::new(0, reason))?;
        pool.submit(classes.iter().enumerate().map(question).collect());
        let answered = answers(classes.len(), &receiver, deadline, self.limit);
        // After a failure or a timeout the worker is ended at once.
        pool.close(Some(Instant::now() + if answered.is_ok() { LEAVE } else { Duration::ZERO }));
        answered
    }
}

impl PythonClasses {
    fn open(&self, folder: &Path, sender: crossbeam_channel::Sender<PoolEvent>) -> Result<Box<dyn Pool>, String> {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let python = python(Some(&folder), &self.python).map_err(|error| error.to_string())?;
        let mut options = PoolOptions::new().max_workers(1).python(python);
        options.worker = self.worker.clone();
        let sink = move |events: Vec<PoolEvent>| events.into_iter().for_each(|event| drop(sender.send(event)));
        let sink: EventSink = Arc::new(sink);
        let given_up = Cancellation::new();
        let open = || open_pool(PoolType::Process, &options, true, sink, &given_up);
        match open_timeout::with_timeout(Some(self.limit), &given_up, open) {
            Ok(Ok(pool)) => Ok(pool),
            Ok(Err(OpenError::GivenUp)) => Err(timeout_reason(self.limit)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(OpenError::Io(error).to_string()),
        }
    }
}

fn question((position, class): (usize, &EwoksClass)) -> Attempt {
    let name = format!("{}.{}", class.module, class.name);
    let work = EwoksWork::InputNames(class.clone());
    let task = TaskSpec::Ewoks(EwoksTask { work, node: name.clone(), label: None });
    Attempt { id: AttemptId(position as u64), actor: name.into(), task: Arc::new(task), inputs: Data::new() }
}

/// The required inputs of `count` classes; the number of an attempt is the position of its class.
fn answers(
    count: usize,
    events: &Receiver<PoolEvent>,
    deadline: Instant,
    limit: Duration,
) -> Result<Vec<Vec<String>>, UnknownClass> {
    let mut answers: Vec<Option<Vec<String>>> = vec![None; count];
    while let Some(open) = answers.iter().position(Option::is_none) {
        let unknown = |class: usize, reason: String| Err(UnknownClass::new(class, reason));
        match events.recv_deadline(deadline) {
            Ok(PoolEvent::Finished { attempt, result }) => answers[position(attempt)] = Some(required(&result)),
            Ok(PoolEvent::Failed { attempt, error }) => return unknown(position(attempt), failure_reason(&error)),
            Ok(PoolEvent::Output { bytes, .. }) => drop(std::io::stderr().write_all(&bytes)),
            Ok(_) => {}
            Err(_) => return unknown(open, timeout_reason(limit)),
        }
    }
    Ok(answers.into_iter().flatten().collect())
}

fn timeout_reason(limit: Duration) -> String {
    format!("Python did not tell them within {limit:?}")
}

fn position(attempt: AttemptId) -> usize {
    usize::try_from(attempt.0).expect("it was made of one")
}

fn required(answer: &Data) -> Vec<String> {
    let names = answer.value("required").ok().flatten();
    let Some(Value::List(names)) = names else { return Vec::new() };
    names.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn failure_reason(error: &TaskError) -> String {
    match error.kind {
        ErrorKind::Raised => format!("to load it raised {error}"),
        _ => error.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers_to(events: Vec<PoolEvent>) -> Result<Vec<Vec<String>>, UnknownClass> {
        let (sender, receiver) = unbounded();
        events.into_iter().for_each(|event| sender.send(event).unwrap());
        // The deadline is now, so that the test does not wait.
        let answer = answers(2, &receiver, Instant::now(), Duration::from_secs(7));
        drop(sender);
        answer
    }

    fn finished(class: u64, names: &[&str]) -> PoolEvent {
        let names: Vec<Value> = names.iter().map(|name| Value::from(*name)).collect();
        PoolEvent::Finished { attempt: AttemptId(class), result: Data::new().with("required", names) }
    }

    #[test]
    fn answers_are_in_the_order_of_the_questions() {
        let both = answers_to(vec![finished(1, &["b"]), finished(0, &["a", "c"])]);
        assert_eq!(both, Ok(vec![vec!["a".to_owned(), "c".to_owned()], vec!["b".to_owned()]]));
    }

    #[test]
    fn what_is_not_answered_in_time_is_said() {
        let reason = "Python did not tell them within 7s".to_owned();
        assert_eq!(answers_to(vec![finished(0, &[])]), Err(UnknownClass::new(1, reason)));
    }

    #[test]
    fn a_failure_is_said_in_its_own_words_with_the_exception_of_a_module() {
        let failed = |error| answers_to(vec![PoolEvent::Failed { attempt: AttemptId(1), error }]).unwrap_err();
        let reason = "no module named \"m\"".to_owned();
        assert_eq!(failed(TaskError::new(ErrorKind::NotFound, reason.as_str())), UnknownClass::new(1, reason));
        let raised = TaskError { type_name: "OSError".into(), ..TaskError::new(ErrorKind::Raised, "no disk") };
        assert_eq!(failed(raised).reason, "to load it raised OSError: no disk");
    }
}
