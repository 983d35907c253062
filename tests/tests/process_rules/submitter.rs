//! What the submitter of a misbehaving task sees, on each pool: that attempt alone fails, with its reason, and the pool
//! goes on.
//!
//! One pool runs all rows one after another, so that each row also shows that the rows before it did no harm. If the start
//! method could matter, each start method runs the rows.

mod rows;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use pushflow_tests::folder::Folder;
use pushflow_tests::limits::{argument, long_enough};
use pushflow_tests::page;
use pushflow_tests::parallel::run_all;
use pushflow_tests::processes::{Process, wait_until};
use pushflow_tests::random::Random;
use pushflow_tests::run::{Finished, Program};
use serde_json::{Value, json};

use self::rows::{PYTHON_TASKS, ROWS, Row, Thread};

/// Every pool of processes.
const POOLS: [&str; 5] = ["process", "ndprocess", "multiprocessing", "ndmultiprocessing", "billiard"];
const METHODS: [&str; 3] = ["spawn", "forkserver", "fork"];
/// An outcome that takes longer than this counts as missing.
const HANG: Duration = Duration::from_secs(30);

fn test_program(settings: &Value) -> Program {
    Program::at(Path::new(env!("CARGO_BIN_EXE_pushflow-test-program"))).arg(settings.to_string())
}

/// One program, which runs some of the rows on one pool.
struct Experiment {
    pool: &'static str,
    method: &'static str,
    rows: Vec<&'static Row>,
}

impl fmt::Display for Experiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events: Vec<&str> = self.rows.iter().map(|row| row.event).collect();
        write!(f, "{} {} ({} ...)", self.pool, self.method, events.first().unwrap_or(&"nothing"))
    }
}

/// The outcomes of four more tasks on a pool that goes on.
const FOUR_MORE: [&str; 4] = ["finished"; 4];

/// The result of one row on one pool, with one start method.
struct Seen {
    event: &'static str,
    cell: String,
}

impl Experiment {
    /// Runs the rows, and returns the result of each.
    fn run(&self) -> Vec<Seen> {
        let folder = Folder::new();
        folder.write("tasks.py", PYTHON_TASKS);
        let finished = self.program(&folder).run();
        let report = finished.assert_code(0).json();
        let steps = report["steps"].as_array().expect("the report has a list of steps");
        assert_eq!(steps.len(), self.rows.len(), "{report}");
        let seen = self.rows.iter().zip(steps).map(|(row, step)| {
            assert_eq!(step["after"], json!(FOUR_MORE), "{}: the pool does not go on: {step}", row.event);
            Seen { event: row.event, cell: cell(&step["seen"], &folder) }
        });
        seen.collect()
    }

    fn program(&self, folder: &Folder) -> Program {
        let steps: Vec<Value> = self.rows.iter().map(|row| row.step(folder)).collect();
        let settings = json!({
            "pool": self.pool,
            "start_method": self.method,
            "folder": folder.path(""),
            "python": self.rows.iter().any(|row| row.is_python()),
            "steps": steps,
        });
        let program = test_program(&settings);
        if self.rows.iter().any(|row| row.floods) {
            let nowhere = OpenOptions::new().write(true).open("/dev/null").expect("there is /dev/null");
            return program.stderr(nowhere);
        }
        program
    }
}

/// What the submitter saw, without what differs from run to run.
fn cell(seen: &Value, folder: &Folder) -> String {
    let text = match (seen.get("result"), seen["kind"].as_str()) {
        (Some(_), _) => "the result".to_owned(),
        (_, Some(kind)) => {
            let (name, message) =
                (seen["type"].as_str().unwrap_or_default(), seen["message"].as_str().unwrap_or_default());
            assert!(kind != "WorkerLost" || seen["pid"].is_u64(), "a lost worker has no pid: {seen}");
            let name = if kind == "Raised" { name } else { "" };
            let words: Vec<&str> = [name, message].into_iter().filter(|word| !word.is_empty()).collect();
            format!("`{kind}`: {}", words.join(": "))
        }
        _ if seen["order"].is_array() => victim(seen, folder),
        _ => seen.as_str().unwrap_or_default().to_owned(),
    };
    let mut text = text.replace(&folder.path("").to_string_lossy().into_owned(), "FOLDER/");
    for before in ["pid ", "with ", "packet of ", "there are "] {
        text = without_numbers(&text, before);
    }
    text
}

/// What the submitter saw of the task whose worker was killed, before the nap of a second in the other worker ended. All
/// other tasks finish.
fn victim(seen: &Value, folder: &Folder) -> String {
    let order = seen["order"].as_array().expect("that was looked at");
    let place = |name: &str| order.iter().position(|entry| entry[0] == name);
    assert_eq!(order.len(), 5, "{seen}");
    assert!(place("victim") < place("nap"), "it took longer than a second: {seen}");
    for entry in order.iter().filter(|entry| entry[0] != "victim") {
        assert!(entry[1].get("result").is_some(), "{entry} in {seen}");
    }
    let (outcome, pid) = (&order[place("victim").expect("all five are there")][1], &seen["pid"]);
    assert_eq!(outcome["pid"], *pid, "{seen}");
    assert!(outcome["message"].as_str().is_some_and(|text| text.contains(&format!("(pid {pid})"))), "{seen}");
    format!("{}; within a second, and no other task fails", cell(outcome, folder))
}

/// Each number after these words as `N`.
fn without_numbers(text: &str, before: &str) -> String {
    let mut parts = text.split(before);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let rest = part.trim_start_matches(|letter: char| letter.is_ascii_digit());
        format!("{text}{before}{}{rest}", if rest.len() < part.len() { "N" } else { "" })
    })
}

/// Every program of the table: on the pools of processes one for the rows of Rust tasks and commands with each start
/// method, one for those of Python tasks, and one for each that floods its program's output; on the pool `thread` one for
/// all rows that it survives.
fn experiments() -> Vec<Experiment> {
    let rows = |wanted: &dyn Fn(&Row) -> bool| ROWS.iter().filter(|row| wanted(row)).collect::<Vec<&'static Row>>();
    let mut experiments = Vec::new();
    for pool in POOLS {
        for method in METHODS {
            experiments.push(Experiment { pool, method, rows: rows(&|row| !row.is_python() && !row.floods) });
            if pool == "process" || method == "spawn" {
                experiments.push(Experiment { pool, method, rows: rows(&Row::is_python) });
            }
        }
        experiments.push(Experiment { pool, method: "spawn", rows: rows(&|row| row.floods) });
    }
    let survived = |row: &Row| !row.floods && matches!(row.thread, Thread::Same | Thread::Sees(_));
    experiments.push(Experiment {
        pool: "thread",
        method: "default",
        rows: rows(&|row| survived(row) && !row.is_python()),
    });
    experiments.push(Experiment {
        pool: "thread",
        method: "default",
        rows: rows(&|row| survived(row) && row.is_python()),
    });
    experiments.push(Experiment { pool: "thread", method: "default", rows: rows(&|row| row.floods) });
    experiments
}

#[test]
fn a_task_that_misbehaves_fails_alone_with_its_reason_and_its_pool_goes_on() {
    let experiments = experiments();
    let mut cells: BTreeMap<(&str, bool), BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for (experiment, seen) in experiments.iter().zip(run_all(&experiments, Experiment::run)) {
        for Seen { event, cell } in seen {
            let places = cells.entry((event, experiment.pool == "thread")).or_default().entry(cell).or_default();
            places.push(format!("{} {}", experiment.pool, experiment.method));
        }
    }
    let mut wrong = Vec::new();
    let mut table = Vec::new();
    for row in ROWS {
        let mut seen = |thread: bool, expected: &str| {
            let found = cells.remove(&(row.event, thread)).unwrap_or_default();
            if found.len() != 1 || !found.contains_key(expected) {
                wrong.push(format!("{}: expected {expected:?}, seen {found:?}", row.event));
            }
            expected.to_owned()
        };
        let process = seen(false, row.seen);
        let thread = match row.thread {
            Thread::Same => seen(true, row.seen),
            Thread::Sees(expected) => seen(true, expected),
            Thread::Ends(ending) => {
                assert_eq!(end_on_thread(row), ending, "{}", row.event);
                format!("the program ends: {ending}")
            }
            Thread::Apart(what) => what.to_owned(),
        };
        let thread = match thread.as_str() {
            text if text == process => "the same",
            text => text,
        };
        table.push([row.event, &process, thread, row.original].map(|text| text.replace('|', "\\|")).to_vec());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let head = ["the task", "on every pool of processes", "thread", "the original"];
    page::assert_section("process-rules.md", "submitter", &page::table(&head, &table));
}

/// How the program ended that ran this row's task on one of its threads.
fn end_on_thread(row: &'static Row) -> String {
    let folder = Folder::new();
    let experiment = Experiment { pool: "thread", method: "default", rows: vec![row] };
    let finished: Finished = experiment.program(&folder).run();
    match (finished.code(), finished.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, signal) => format!("signal {}", signal.unwrap_or_default()),
    }
}

// ----- apart from the table -----

/// Random bytes of many lengths, in all sockets of the worker, right before the answer.
#[test]
fn whatever_is_written_into_a_workers_sockets_only_its_attempt_is_lost() {
    let mut random = Random::of_test("garbage");
    let lengths = [1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 100, 1000, 4096, 60_000, 100_000];
    let steps = lengths.map(|length| {
        let seed = random.below(1 << 32);
        let inputs = json!({"sockets": "all", "length": length, "seed": seed, "framed": false, "stays": false});
        json!({"rust": "writes_garbage", "inputs": inputs})
    });
    for (pool, method) in POOLS.into_iter().zip(METHODS.into_iter().cycle()) {
        let folder = Folder::new();
        let settings = json!({"pool": pool, "start_method": method, "folder": folder.path(""), "steps": steps});
        let report = test_program(&settings).run().assert_code(0).json();
        for (step, length) in report["steps"].as_array().expect("there are steps").iter().zip(lengths) {
            let message = step["seen"]["message"].as_str().unwrap_or_default();
            assert_eq!(step["seen"]["kind"], "WorkerLost", "{pool} {method}, {length} bytes: {step}");
            assert!(message.contains("what is no message") || message.contains("is no message ("), "{length}: {step}");
            assert_eq!(step["after"], json!(FOUR_MORE), "{pool} {method}, {length} bytes: {step}");
        }
    }
}

#[test]
fn what_is_printed_after_a_task_closed_the_output_of_its_process_is_heard() {
    for language in ["rust", "python"] {
        let folder = Folder::new();
        folder.write("tasks.py", PYTHON_TASKS);
        let steps = json!([{language: "closes_its_output"}, {language: "prints_a_word"}]);
        let settings = json!({"folder": folder.path(""), "python": language == "python", "steps": steps, "workers": 1});
        let finished = test_program(&settings).run();
        assert_eq!(finished.assert_code(0).stdout.lines().next(), Some("a word"), "{finished:?}");
    }
}

#[test]
fn a_thread_that_ignores_an_interrupt_can_not_be_ended_and_is_left_behind() {
    for language in ["rust", "python"] {
        let folder = Folder::new();
        folder.write("tasks.py", PYTHON_TASKS);
        let step = json!({
            language: "ignores_signals_ready",
            "inputs": {"file": folder.path("ready")},
            "when": "ready",
            "then": "interrupt",
            "patience_ms": 500,
        });
        let python = language == "python";
        let settings = json!({"pool": "thread", "folder": folder.path(""), "python": python, "steps": [step]});
        let report = test_program(&settings).run().assert_code(0).json();
        assert_eq!(report["steps"][0], json!({"seen": "no answer", "after": FOUR_MORE}), "{report}");
        assert_eq!(report["closed"], false, "{report}");
        let late = "the pool was shut down while the attempt ran on a thread, which can't be ended: it is left behind";
        assert_eq!((&report["late"][0]["kind"], &report["late"][0]["message"]), (&json!("Stopped"), &json!(late)));
    }
}

#[test]
fn a_task_on_a_thread_that_stops_itself_stops_the_program_until_it_is_continued() {
    let folder = Folder::new();
    let step = json!({"rust": "stops_itself_ready", "inputs": {"file": folder.path("ready")}});
    let settings = json!({"pool": "thread", "folder": folder.path(""), "steps": [step]});
    let running = test_program(&settings).start();
    let is_stopped = || Process::find(running.pid()).is_some_and(|process| process.state == 'T');
    wait_until("the program to be stopped", HANG, is_stopped);
    running.signal(Signal::SIGCONT);
    let report = running.wait().assert_code(0).json();
    assert_eq!(report["steps"][0], json!({"seen": {"result": {"fine": true}}, "after": FOUR_MORE}), "{report}");
}

#[test]
fn a_daemon_of_a_task_on_a_thread_outlives_the_program() {
    let folder = Folder::new();
    let settings = json!({"pool": "thread", "folder": folder.path(""), "steps": [{"rust": "leaves_a_daemon"}]});
    let (finished, rest) = test_program(&settings).start().wait_for_end();
    let report = finished.assert_code(0).json();
    assert_eq!(report["steps"][0], json!({"seen": {"result": {"fine": true}}, "after": FOUR_MORE}), "{report}");
    // The guardian and its processes end. The guardian did not start the daemon.
    wait_until("the end of all but the daemon", HANG, || rest.mark().processes().len() <= 1);
    assert_eq!(rest.mark().processes().len(), 1);
}

// ----- no run waits silently for a stopped process -----

/// The test program's run of one Rust task that stops itself.
#[test]
fn a_rust_task_that_stops_itself_is_told_in_an_event_and_ended_by_the_deadline() {
    for method in METHODS {
        let (folder, finished) = long_enough(|limit| {
            let folder = Folder::new();
            let inputs = json!({"file": folder.path("ready")});
            let limit = limit.as_millis();
            let settings = json!({
                "task": "stops_itself_ready", "start_method": method, "inputs": inputs, "timeout_ms": limit,
                "grace_ms": 100,
            });
            let finished = test_program(&settings).run();
            folder.has("ready").then_some((folder, finished))
        });
        let report = finished.assert_code(0).json();
        assert_eq!(report["runs"][0]["ending"], "TimedOut", "{method}: {report}");
        let pid: u32 = folder.read("ready").parse().expect("it is a pid");
        assert_eq!(report["stopped"], json!([[pid, "SIGSTOP"]]), "{method}: {report}");
    }
}

/// The output of `pushflow run` for a graph with a task that stops itself.
fn assert_stop_is_said(folder: &Folder, pool: &str) {
    let environment = if pool == "gevent" { "green" } else { "plain" };
    let finished = long_enough(|limit| {
        std::fs::remove_file(folder.path("pid")).ok();
        let program = Program::pushflow_run(folder.graph()).args(["--pool", pool, "--environment", environment]);
        let finished = program.args(["--timeout", &argument(limit), "--interrupt-grace", "100ms"]).run();
        folder.has("pid").then_some(finished)
    });
    let pid = folder.read("pid");
    finished.assert_code(3).assert_error(&format!(
        "pushflow: task: process {pid} was stopped by SIGSTOP; it does nothing until it is continued (kill -CONT {pid}) or \
         ended\n"
    ));
}

#[test]
fn a_python_task_that_stops_itself_is_said_and_ended_by_the_deadline() {
    let module = "\
import os, signal, time

def task(pid):
    open(pid, 'w').write(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGSTOP)
    # Where it is not the thread of the task that hears the signal, that one goes on for a moment.
    time.sleep(1000)
";
    let folder = Folder::with_tasks(module, &[]);
    let inputs = json!([{"name": "pid", "value": folder.path("pid")}]);
    let node = json!({
        "id": "task", "task_type": "ppfmethod", "task_identifier": "tasks.task", "default_inputs": inputs,
    });
    folder.write_graph(json!([node]), json!([]));
    for pool in POOLS.into_iter().chain(["thread", "gevent"]) {
        assert_stop_is_said(&folder, pool);
    }
}

#[test]
fn a_script_that_stops_itself_is_said_and_ended_by_the_deadline() {
    for pool in POOLS.into_iter().chain(["thread", "gevent"]) {
        let folder = Folder::new();
        let pid = folder.path("pid");
        let program =
            folder.write_program("stop.sh", &format!("#!/bin/sh\necho -n $$ > {}\nkill -STOP $$\n", pid.display()));
        folder.write_graph(json!([{"id": "task", "task_type": "script", "task_identifier": program}]), json!([]));
        assert_stop_is_said(&folder, pool);
    }
}
