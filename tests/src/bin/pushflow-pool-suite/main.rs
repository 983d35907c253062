//! The suite that every pool passes: its cases do not depend on the type of the pool.
//!
//! Arguments: the case, the pool, and `scaling` or `fixed`. The exit code is 0 if the case holds; otherwise the program
//! prints why it does not.

mod cases;
mod scaling;
mod tasks;

use std::path::Path;
use std::time::{Duration, Instant};

use pushflow::{Data, Pending, PoolOptions, PoolType, TaskPool, TaskResult, TaskSpec, Value};

/// A case that takes longer than this counts as hanging.
const HANG: Duration = Duration::from_secs(30);

/// The pool type, the options and the folder of one case.
struct Suite {
    pool: PoolType,
    options: PoolOptions,
    folder: tempfile::TempDir,
}

impl Suite {
    /// Opens the pool, with at most this many workers.
    fn open(&self, workers: usize) -> TaskPool {
        self.open_with(self.options.clone().max_workers(workers))
    }

    fn open_with(&self, options: PoolOptions) -> TaskPool {
        TaskPool::open(self.pool, &options).expect("the pool can be opened")
    }

    /// Inputs with the folder and a name or number.
    fn named(&self, name: impl Into<Value>) -> Data {
        let name = name.into();
        self.inputs().with("name", name.clone()).with("number", name)
    }

    fn inputs(&self) -> Data {
        Data::new().with("folder", self.folder.path().to_str().expect("the folder has a name in UTF-8"))
    }

    fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    fn wait_for(&self, name: &str) {
        wait_until(name, || self.has(name));
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.folder.path()).join(name)
    }

    /// Makes the file `go`, for which tasks wait.
    fn go(&self) {
        std::fs::write(self.path("go"), "").expect("the folder can be written to");
    }
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + HANG;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn echo(value: impl Into<Value>) -> Data {
    Data::new().with("value", value)
}

fn submit<'a>(pool: &'a TaskPool, task: &str, inputs: Data) -> Pending<'a> {
    pool.submit(TaskSpec::rust(task), inputs).expect("the pool is open")
}

/// The outcome of a task, which must come in time.
fn outcome(pending: Pending<'_>) -> TaskResult {
    pending.wait_timeout(Some(HANG)).unwrap_or_else(|_| panic!("a task did not end within {HANG:?}"))
}

fn number(result: TaskResult, name: &str) -> i64 {
    let result = result.expect("the task succeeds");
    result.value(name).expect("a plain value").and_then(Value::as_int).expect("it is a number")
}

/// A case that does not hold ends the program at once. Unwinding would drop the pool, which would wait for tasks that wait
/// for the file `go`.
fn end_when_a_case_fails() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        if std::thread::current().name() == Some("main") {
            std::process::abort();
        }
    }));
}

fn main() {
    pushflow::init();
    end_when_a_case_fails();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [case, pool, scaling] = &arguments[..] else { panic!("usage: CASE POOL scaling|fixed") };
    let suite = Suite {
        pool: pool.parse().expect("the pool exists"),
        options: PoolOptions::new().scaling(scaling == "scaling").orphan_grace(Duration::ZERO),
        folder: tempfile::tempdir().expect("a temporary folder can be made"),
    };
    let cases = cases::CASES.iter().chain(&scaling::CASES);
    let (_, run) = cases.into_iter().find(|(name, _)| name == case).expect("the case exists");
    run(&suite);
}
