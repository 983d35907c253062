//! Random ewoks graphs, run by the original engine (`ewoksppf`) and by `pushflow`: in both, each node runs equally often,
//! with the same inputs and results.
//!
//! - [`generate`] makes a graph of [`blocks`] and of the [`tasks`] that `random_tasks.py` has.
//! - [`flatten`], [`analyse`] and [`model`] work out the outcome for all orders in which the tasks may end. A graph with
//!   several outcomes is left out, so that no compared outcome depends on timing.
//! - [`original`] runs the original, which may crash or hang; [`compare`] compares both engines with the model.
//! - [`shrink`] makes a graph that fails smaller; [`census`] counts the features of the graphs.
//!
//! `PUSHFLOW_TEST_GRAPHS` is how many graphs there are, `PUSHFLOW_TEST_GRAPH` a file with one that failed before.

mod analyse;
mod blocks;
mod census;
mod compare;
mod flatten;
mod generate;
mod model;
mod original;
mod shrink;
mod tasks;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use pushflow_tests::binaries::python;
use pushflow_tests::folder::Folder;
use pushflow_tests::parallel::run_all;
use pushflow_tests::random::{Random, say};
use pushflow_tests::run::Program;
use serde_json::{Value, json};

use census::Census;
use compare::Seen;
use flatten::{Flat, LeftOut};
use generate::Case;
use model::Expected;
use original::{Ended, Originals};

/// How many graphs there are.
const GRAPHS: &str = "PUSHFLOW_TEST_GRAPHS";
const USUALLY: u64 = 100;
/// A file with a graph that failed before, to run only that.
const GRAPH: &str = "PUSHFLOW_TEST_GRAPH";

/// The folder of the scripts.
fn scripts() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/black_box/differential"))
}

/// One graph of a seed, or one of a file.
enum Experiment {
    Number(u64, Random),
    File(PathBuf),
}

impl fmt::Display for Experiment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Experiment::Number(number, _) => write!(formatter, "graph {number} on {}", self.pool()),
            Experiment::File(file) => write!(formatter, "{}", file.display()),
        }
    }
}

impl Experiment {
    /// Where it is run.
    fn pool(&self) -> &'static str {
        match self {
            Experiment::Number(number, _) if number % 20 == 0 => "process",
            Experiment::Number(number, _) if number % 20 == 10 => "multiprocessing",
            _ => "thread",
        }
    }

    /// Where the graph is written to, if it fails.
    fn file(&self) -> PathBuf {
        match self {
            Experiment::Number(number, _) => failures().join(format!("graph-{number}.json")),
            Experiment::File(file) => file.with_extension("smaller.json"),
        }
    }

    /// The graph and its outcome in the model.
    fn make(&self, census: &Mutex<Census>) -> (Case, Expected) {
        match self {
            Experiment::Number(_, random) => random_graph(random.clone(), census),
            Experiment::File(file) => failed_before(file),
        }
    }
}

fn understood(case: &Case) -> Result<(Flat, Expected), LeftOut> {
    let flat = flatten::flatten(&case.graph, &case.inputs)?;
    let expected = model::explore(&flat)?;
    Ok((flat, expected))
}

/// The first random graph that can be compared. Of the graphs in which little happens, only some are taken.
fn random_graph(mut random: Random, census: &Mutex<Census>) -> (Case, Expected) {
    let census = || census.lock().expect("nobody panics with the lock");
    loop {
        let again = random.below(usize::MAX) as u64;
        let case = generate::generate(random.branch(again));
        match understood(&case) {
            Ok((_, expected)) if expected.is_dull() && random.chance(85) => census().dull(),
            Ok((_, expected)) if expected.known.is_some() && random.chance(80) => {}
            Ok((flat, expected)) => {
                census().graph(&case, &flat, &expected);
                return (case, expected);
            }
            Err(why) => census().left_out(why),
        }
    }
}

fn failed_before(file: &Path) -> (Case, Expected) {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let read: Value = serde_json::from_str(&text).expect("it is JSON");
    let inputs = read["inputs"].as_array().cloned().unwrap_or_default();
    let case = Case { graph: read["graph"].clone(), inputs };
    let (_, expected) = understood(&case).unwrap_or_else(|why| panic!("it is not compared: {why:?}"));
    (case, expected)
}

/// How one of the engines differs from the model.
#[derive(Debug, PartialEq, Eq)]
enum Difference {
    Refused(String),
    Other(String),
}

/// How the engines differ from the model.
#[derive(Debug, Default)]
struct Differences {
    original: Option<Difference>,
    pushflow: Option<Difference>,
}

impl Differences {
    fn is_none(&self) -> bool {
        self.original.is_none() && self.pushflow.is_none()
    }

    /// Whether it is the same engine that differs, in the same way.
    fn is_like(&self, other: &Differences) -> bool {
        let kind = |difference: &Option<Difference>| difference.as_ref().map(std::mem::discriminant);
        kind(&self.original) == kind(&other.original) && kind(&self.pushflow) == kind(&other.pushflow)
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (who, difference) in [("the original", &self.original), ("pushflow", &self.pushflow)] {
            match difference {
                Some(Difference::Refused(how)) => writeln!(formatter, "{who} refuses it: {how}")?,
                Some(Difference::Other(how)) => writeln!(formatter, "{who}:\n{how}")?,
                None => {}
            }
        }
        Ok(())
    }
}

/// The difference between pushflow and the model, if there is one.
fn pushflow(case: &Case, pool: &str, expected: &Expected) -> Option<Difference> {
    let folder = Folder::new();
    folder.write("graph.json", case.graph.to_string());
    let inputs = folder.write("inputs.json", json!(case.inputs).to_string());
    let program = Program::pushflow_run(folder.graph())
        .args(["--format", "json", "--output", "all", "--workers", "3", "--pool", pool])
        .arg("--inputs")
        .arg(inputs)
        .arg("--python-path")
        .arg(scripts());
    let finished = program.run();
    if finished.code() == Some(2) {
        return Some(Difference::Refused(finished.stderr));
    }
    assert!(matches!(finished.code(), Some(0 | 1)), "{finished:#?}");
    Seen::of_pushflow(&finished.json()).difference(expected).map(Difference::Other)
}

/// The difference between the original and the model, if there is one. If the original crashes, it runs the graph once
/// more on a calm pool. Graphs for which the original is known to differ are not run.
fn original(case: &Case, expected: &Expected, originals: &Originals, broken: &dyn Fn(&Ended)) -> Option<Difference> {
    if expected.known.is_some() {
        return None;
    }
    let first = originals.run(case, "thread");
    if let Ended::ByItself(seen) = first {
        return seen.difference(expected).map(Difference::Other);
    }
    broken(&first);
    match originals.run(case, "calm") {
        Ended::ByItself(seen) => seen.difference(expected).map(Difference::Other),
        Ended::Hung(why) => Some(Difference::Other(format!("it hangs on a calm pool, too: {why}"))),
        Ended::Crashed(why) => (!Census::is_known(&why)).then_some(Difference::Refused(why)),
    }
}

/// Runs a graph on both engines.
fn run(case: &Case, pool: &str, expected: &Expected, originals: &Originals, broken: &dyn Fn(&Ended)) -> Differences {
    let original = original(case, expected, originals, broken);
    Differences { original, pushflow: pushflow(case, pool, expected) }
}

/// Fails, with a small graph the first time.
fn fail(experiment: &Experiment, case: &Case, how: Differences, originals: &Originals, shrunk: &AtomicBool) -> ! {
    let again = |case: &Case| {
        let (_, expected) = understood(case).ok()?;
        Some(run(case, experiment.pool(), &expected, originals, &|_| ())).filter(|seen| seen.is_like(&how))
    };
    let is_first = !shrunk.swap(true, Ordering::Relaxed);
    let small = if is_first { shrink::shrink(case, |case| again(case).is_some()) } else { case.clone() };
    // A difference that does not happen again is reported as it was.
    let smallest = if is_first { again(&small) } else { None };
    let file = experiment.file();
    fs::create_dir_all(failures()).expect("a folder can be made");
    fs::write(&file, json!({"graph": small.graph, "inputs": small.inputs}).to_string()).expect("a file can be written");
    let how = smallest.unwrap_or(how);
    panic!("{how}run it again: {GRAPH}={} cargo test -p pushflow-tests --test black_box differential", file.display());
}

/// The graphs are the same each time: what another seed finds is a finding, and no reason for a red build.
const SEED: u64 = 594_819_770;

fn failures() -> PathBuf {
    std::env::temp_dir().join("pushflow-differential")
}

/// Whether there is an original to compare with; in CI there must be one.
fn has_original() -> bool {
    let status = Command::new(python()).args(["-c", "import ewoksppf"]).output().expect("the interpreter runs").status;
    if status.success() {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "ewoksppf is needed: install tests/requirements.txt for {:?}", python());
    say("not tested: the interpreter has no ewoksppf");
    false
}

#[test]
fn random_graphs_do_here_what_they_do_in_the_original() {
    if !has_original() {
        return;
    }
    let experiments: Vec<Experiment> = match std::env::var_os(GRAPH) {
        Some(file) => vec![Experiment::File(file.into())],
        None => {
            let random = Random::with_usual_seed("random graphs", SEED);
            let count = std::env::var(GRAPHS).map_or(USUALLY, |count| count.parse().expect("it is a number"));
            (0..count).map(|number| Experiment::Number(number, random.branch(number))).collect()
        }
    };
    let originals = Originals::default();
    let (census, shrunk) = (Mutex::<Census>::default(), AtomicBool::new(false));
    run_all(&experiments, |experiment| {
        let (case, expected) = experiment.make(&census);
        let broken = |how: &Ended| census.lock().expect("nobody panics with the lock").broken(how);
        let how = run(&case, experiment.pool(), &expected, &originals, &broken);
        if !how.is_none() {
            fail(experiment, &case, how, &originals, &shrunk);
        }
    });
    let census = census.into_inner().expect("nobody panics with the lock");
    say(&census.to_string());
    if std::env::var_os(GRAPH).is_none() {
        census.assert_all_occurred();
    }
}
