//! The original engine, which runs one graph after the other (`original.py`).

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use pushflow_tests::binaries::python;
use serde_json::{Value, json};

use super::compare::Seen;
use super::generate::Case;
use super::scripts;

/// The time in seconds after which the original counts as hanging with a graph.
const PATIENCE: u32 = 30;

/// How the original ended.
pub enum Ended {
    ByItself(Seen),
    Crashed(String),
    Hung(String),
}

/// Processes that run the original, one for each graph at a time.
#[derive(Default)]
pub struct Originals(Mutex<Vec<Original>>);

struct Original {
    child: Child,
    asked: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Originals {
    /// The outcome of a graph in the original, on its own pool or on the calm one.
    pub fn run(&self, case: &Case, pool: &str) -> Ended {
        let idle = self.0.lock().expect("nobody panics with the lock").pop();
        let mut original = idle.unwrap_or_else(Original::start);
        let answer = original.ask(&json!({
            "graph": case.graph, "inputs": case.inputs, "pool": pool, "seconds": PATIENCE,
        }));
        self.0.lock().expect("nobody panics with the lock").push(original);
        let why = || answer["why"].as_str().expect("it says why").to_owned();
        match answer["ended"].as_str() {
            Some("by itself") => Ended::ByItself(Seen::of_original(&answer)),
            Some("crashed") => Ended::Crashed(why()),
            Some("hung") => Ended::Hung(why()),
            _ => panic!("{answer}"),
        }
    }
}

impl Original {
    fn start() -> Self {
        let mut command = Command::new(python());
        command.arg(scripts().join("original.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the interpreter can be started");
        let asked = child.stdin.take().expect("it is a pipe");
        let answers = BufReader::new(child.stdout.take().expect("it is a pipe"));
        Original { child, asked, answers }
    }

    fn ask(&mut self, question: &Value) -> Value {
        writeln!(self.asked, "{question}").expect("it listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("it answers with text");
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
