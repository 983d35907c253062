//! [`examine`]: whether this machine has what runs need. It finds and starts each part in the way in which a run does.
//!
//! Python tasks on a pool with one worker ask the interpreter, so that the answers are what a task would see. All
//! processes belong to pools that end before [`examine`] returns, within the time limit of each.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pushflow_guardian::BUILD;
use pushflow_model::{Data, ErrorKind, PoolType, PythonTask, Returns, StartMethod, TaskSpec, Value};
use pushflow_pool::{PoolOptions, TaskPool, TaskResult, worker_program};
use pushflow_python::choose_interpreter;

use crate::options::PythonSettings;
use crate::preflight;
pub use pushflow_pool::Machine;
pub use pushflow_python::ChosenBy;

/// The Python packages that are looked for, each with its purpose.
const PACKAGES: [(&str, &str); 4] = [
    ("numpy", "arrays"),
    ("ewokscore", "ewoks task classes"),
    ("gevent", "Python tasks on the pool gevent"),
    ("billiard", "processes inside tasks of daemonic pools"),
];

/// Which Python interpreter and worker program to examine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The Python interpreter, and where it finds modules.
    pub python: PythonSettings,
    /// The worker program, instead of the usual look-up ([`PoolOptions::worker`]).
    pub worker: Option<PathBuf>,
    /// How long each process that is started may take.
    pub limit: Duration,
}

impl Settings {
    /// The interpreter and the worker program that a run without options uses.
    pub fn new(limit: Duration) -> Settings {
        Settings { python: PythonSettings::default(), worker: None, limit }
    }

    /// Sets [`Settings::python`].
    #[must_use]
    pub fn python(mut self, settings: PythonSettings) -> Settings {
        self.python = settings;
        self
    }

    /// Sets [`Settings::worker`].
    #[must_use]
    pub fn worker(mut self, program: impl Into<PathBuf>) -> Settings {
        self.worker = Some(program.into());
        self
    }
}

/// The result of [`examine`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Examination {
    /// The build of this program; workers must be of the same build.
    pub build: &'static str,
    /// The worker program, or why there is none.
    pub worker: Result<PathBuf, String>,
    /// Each start method, with the reason if it does not work.
    pub start_methods: Vec<(StartMethod, Result<(), String>)>,
    /// What chose the interpreter, and its path; `None` if there is none.
    pub interpreter: Option<(ChosenBy, PathBuf)>,
    /// The interpreter's own answers, or why it can't be used.
    pub python: Result<Python, String>,
    /// The limits and abilities of the machine.
    pub machine: Machine,
}

/// A Python interpreter, by its own answers.
#[derive(Debug)]
#[non_exhaustive]
pub struct Python {
    /// `sys.executable`.
    pub executable: String,
    /// The version, such as `3.11.7`.
    pub version: String,
    /// The folder of its installation or of its virtual environment.
    pub prefix: String,
    /// The installation from which a virtual environment was made; the same as `prefix` outside of one.
    pub base_prefix: String,
    /// The folders in which it looks for modules, in this order.
    pub search_path: Vec<String>,
    /// The packages that some tasks need.
    pub packages: Vec<Package>,
}

/// A Python package that some tasks need.
#[derive(Debug)]
#[non_exhaustive]
pub struct Package {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// Whether it is installed and works.
    pub state: PackageState,
}

/// Whether a package is installed and works. These are all the states there are, so the enum is exhaustive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PackageState {
    /// The interpreter imported it; with its version, if it has one.
    There(Option<String>),
    /// It is not installed.
    Missing,
    /// It is installed, but importing it fails with this message.
    Broken(String),
}

impl Examination {
    /// The reasons why runs can't work here, a sentence each.
    pub fn problems(&self) -> Vec<String> {
        let spawn = self.start_methods.iter().find(|(method, _)| *method == StartMethod::Spawn);
        let kernel = |what: &str, error: &std::io::Error| {
            format!("{what} can't be had ({error}): pushflow needs Linux 5.9 or newer, and may not be kept from it")
        };
        let mut problems: Vec<String> = Vec::new();
        match (&self.worker, spawn) {
            (Err(reason), _) | (Ok(_), Some((_, Err(reason)))) => problems.push(reason.clone()),
            _ => {}
        }
        if let (Err(reason), true) = (&self.python, self.worker.is_ok()) {
            problems.push(match &self.interpreter {
                Some((_, interpreter)) => {
                    let advice = "choose another one with --python or PUSHFLOW_PYTHON";
                    format!("the interpreter {} can't be used: {reason}; {advice}", interpreter.display())
                }
                None => reason.clone(),
            });
        }
        problems.extend(self.machine.shared_memory.as_ref().err().map(|error| kernel("shared memory", error)));
        problems.extend(self.machine.pidfds.as_ref().err().map(|error| kernel("files of processes", error)));
        if let (Ok(0), Ok((soft, _))) = (&self.machine.workers_that_fit, &self.machine.open_files) {
            problems.push(format!("no worker fits into {soft} open files: raise that with ulimit -n"));
        }
        problems
    }

    /// The reasons why some runs can't work here, a sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = Vec::new();
        let others = self.start_methods.iter().filter(|(method, _)| *method != StartMethod::Spawn);
        warnings.extend(others.filter_map(|(method, works)| {
            let reason = works.as_ref().err()?;
            Some(format!("the start method {method} does not work: {reason}"))
        }));
        for package in self.python.iter().flat_map(|python| &python.packages) {
            if let PackageState::Broken(reason) = &package.state {
                warnings.push(format!("{} can't be imported ({reason}): install it again", package.name));
            }
        }
        if self.machine.panics_abort {
            let what = "this program was built with panic = \"abort\": a Rust task that panics ends its process";
            warnings.push(format!("{what}; build it with panic = \"unwind\""));
        }
        warnings
    }
}

/// Looks at everything.
pub fn examine(settings: &Settings) -> Examination {
    let worker = worker_program(settings.worker.as_deref()).map_err(|error| error.to_string());
    let start_methods = match &worker {
        Ok(_) => [StartMethod::Spawn, StartMethod::Forkserver, StartMethod::Fork]
            .map(|method| (method, start_worker(settings, method)))
            .into(),
        Err(_) => Vec::new(),
    };
    let chosen = choose_interpreter(settings.python.interpreter.as_deref());
    let python = match (&chosen, &worker) {
        (Err(error), _) => Err(error.to_string()),
        (Ok(_), Err(_)) => Err("it can't be started without a worker program".to_owned()),
        (Ok(_), Ok(_)) => ask(settings),
    };
    Examination {
        build: BUILD,
        worker,
        start_methods,
        interpreter: chosen.ok().map(|(interpreter, chosen_by)| (chosen_by, interpreter)),
        python,
        machine: Machine::look(),
    }
}

fn options(settings: &Settings) -> PoolOptions {
    PoolOptions {
        max_workers: Some(1),
        start_timeout: settings.limit,
        worker: settings.worker.clone(),
        ..PoolOptions::default()
    }
}

fn start_worker(settings: &Settings, start_method: StartMethod) -> Result<(), String> {
    let pool = TaskPool::open(PoolType::Process, &PoolOptions { start_method, ..options(settings) });
    pool.map(drop).map_err(|error| error.to_string())
}

/// The results of the tasks that ask the interpreter, by the name of the question.
type Answers = Arc<Mutex<HashMap<String, TaskResult>>>;

fn ask(settings: &Settings) -> Result<Python, String> {
    let python = preflight::python(None, &settings.python).map_err(|error| error.to_string())?;
    let options = PoolOptions { python: Some(python), ..options(settings) };
    let pool = TaskPool::open(PoolType::Process, &options).map_err(|error| error.to_string())?;
    let answers = Answers::default();
    let submit = |what: &str, task: TaskSpec, inputs: Data| {
        let (answers, what) = (answers.clone(), what.to_owned());
        let take = move |result| drop(lock(&answers).insert(what, result));
        pool.submit_then(task, inputs, take).map_err(|error| error.to_string())
    };
    for (what, module, function) in [
        ("executable", "sys", "executable.__str__"),
        ("version", "platform", "python_version"),
        ("prefix", "sys", "prefix.__str__"),
        ("base_prefix", "sys", "base_prefix.__str__"),
        ("path", "sys", "path.copy"),
    ] {
        submit(what, value_of(module, function), Data::new())?;
    }
    for (name, _) in PACKAGES {
        submit(&imported(name), value_of(name, "__name__.__str__"), Data::new())?;
        let inputs = Data::new().with("distribution_name", name);
        submit(&version_of(name), value_of("importlib.metadata", "version"), inputs)?;
    }
    let is_late = !pool.shutdown(Some(settings.limit), false);
    drop(pool);
    if is_late {
        return Err(format!("it does not answer within {} s", settings.limit.as_secs_f64()));
    }
    read(&lock(&answers))
}

fn lock(answers: &Answers) -> std::sync::MutexGuard<'_, HashMap<String, TaskResult>> {
    answers.lock().unwrap_or_else(PoisonError::into_inner)
}

fn imported(package: &str) -> String {
    format!("import of {package}")
}

fn version_of(package: &str) -> String {
    format!("version of {package}")
}

fn value_of(module: &str, function: &str) -> TaskSpec {
    TaskSpec::Python(PythonTask { module: module.into(), function: function.into(), returns: Returns::Value })
}

fn read(answers: &HashMap<String, TaskResult>) -> Result<Python, String> {
    let answer = |what: &str| answers.get(what).ok_or_else(|| format!("the Python interpreter did not say its {what}"));
    let value = |what: &str| {
        let answered = answer(what)?.as_ref().map_err(|error| error.to_string())?;
        let value = answered.value("return_value").map_err(|error| error.to_string())?;
        value.cloned().ok_or_else(|| format!("the Python interpreter did not say its {what}"))
    };
    let text = |what: &str| Ok::<_, String>(value(what)?.as_str().unwrap_or_default().to_owned());
    let Value::List(folders) = value("path")? else { return Err("the search path of Python is no list".to_owned()) };
    let package = |(name, purpose)| {
        let state = match answer(&imported(name))? {
            Ok(_) => PackageState::There(text(&version_of(name)).ok()),
            Err(error) if error.kind == ErrorKind::NotFound => PackageState::Missing,
            Err(error) => PackageState::Broken(error.to_string()),
        };
        Ok(Package { name, purpose, state })
    };
    Ok(Python {
        executable: text("executable")?,
        version: text("version")?,
        prefix: text("prefix")?,
        base_prefix: text("base_prefix")?,
        search_path: folders.iter().map(|folder| folder.as_str().unwrap_or_default().to_owned()).collect(),
        packages: PACKAGES.into_iter().map(package).collect::<Result<_, String>>()?,
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// Nothing is wrong.
    fn well() -> Examination {
        Examination {
            build: BUILD,
            worker: Ok("pushflow-worker".into()),
            start_methods: vec![(StartMethod::Spawn, Ok(())), (StartMethod::Fork, Ok(()))],
            interpreter: None,
            python: Ok(Python {
                executable: "/bin/python3".to_owned(),
                version: "3.11.7".to_owned(),
                prefix: "/".to_owned(),
                base_prefix: "/".to_owned(),
                search_path: Vec::new(),
                packages: Vec::new(),
            }),
            machine: Machine {
                open_files: Ok((1024, 1024)),
                workers_that_fit: Ok(100),
                shared_memory: Ok(()),
                pidfds: Ok(()),
                panics_abort: false,
            },
        }
    }

    fn refused() -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    #[test]
    fn where_all_is_well_nothing_is_said() {
        assert!(well().problems().is_empty() && well().warnings().is_empty());
    }

    #[test]
    fn what_the_kernel_does_not_give_is_a_problem() {
        let machine = Machine { shared_memory: refused(), pidfds: refused(), ..well().machine };
        let advice = "(permission denied): pushflow needs Linux 5.9 or newer, and may not be kept from it";
        let problems = ["shared memory", "files of processes"].map(|what| format!("{what} can't be had {advice}"));
        assert_eq!(Examination { machine, ..well() }.problems(), problems);
    }

    #[test]
    fn a_start_method_that_fails_is_a_warning_and_spawn_a_problem() {
        let fails = |method| Examination { start_methods: vec![(method, Err("no fork".to_owned()))], ..well() };
        assert_eq!(fails(StartMethod::Fork).warnings(), ["the start method fork does not work: no fork"]);
        assert_eq!(fails(StartMethod::Fork).problems(), [""; 0]);
        assert_eq!(fails(StartMethod::Spawn).problems(), ["no fork"]);
        assert_eq!(fails(StartMethod::Spawn).warnings(), [""; 0]);
    }

    #[test]
    fn panics_that_abort_are_a_warning() {
        let machine = Machine { panics_abort: true, ..well().machine };
        let warning = "this program was built with panic = \"abort\": a Rust task that panics ends its process; build it \
                       with panic = \"unwind\"";
        assert_eq!(Examination { machine, ..well() }.warnings(), [warning]);
    }
}
