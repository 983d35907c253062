//! SIGINT to a program that runs a workflow: to it alone, as by `kill`, and to its process group, as by a terminal.

use std::process::Stdio;
use std::time::Instant;

use nix::sys::signal::Signal;
use pushflow_tests::folder::Folder;
use pushflow_tests::processes::{Process, wait_until};
use pushflow_tests::run::{Program, Running};
use serde_json::{Value, json};

use super::scene::{Place, SOON, Scene};

/// The exit code after SIGINT.
const INTERRUPTED: i32 = 130;

/// Longer than what counts as a hang, in milliseconds.
const FOR_EVER: u64 = 600_000;

/// Whom a signal is sent to.
#[derive(Clone, Copy)]
pub enum To {
    /// The program alone.
    Alone,
    /// Its process group, in which no worker is.
    Group,
}

fn interrupt(scene: &Scene, to: To) {
    match to {
        To::Alone => scene.running.signal(Signal::SIGINT),
        To::Group => scene.signal_group(Signal::SIGINT),
    }
}

fn stopping(place: Place, settings: Value) -> Scene {
    let mut whole = json!({"stop_signals": true});
    for (name, value) in settings.as_object().into_iter().flatten() {
        whole[name] = value.clone();
    }
    Scene::workflow(place, whole)
}

fn wait_for_interrupts(scene: &Scene) {
    scene.folder.wait_for("busy interrupted");
    scene.folder.wait_for("busy too interrupted");
}

/// A run with `stop_signals` gets SIGINT.
pub fn stops(place: Place, to: To) -> String {
    let scene = stopping(place, json!({}));
    interrupt(&scene, to);
    wait_for_interrupts(&scene);
    end_stopped(scene);
    "T is interrupted, exit code 130".into()
}

/// A second SIGINT, after a first that T does not heed.
pub fn second_kills(place: Place, to: To) -> String {
    let scene = stopping(place, json!({"manner": "deaf", "interrupt_grace": FOR_EVER}));
    interrupt(&scene, to);
    wait_for_interrupts(&scene);
    scene.assert_busy();
    interrupt(&scene, to);
    end_stopped(scene);
    if place.is_thread() { "T ends with the process, exit code 130" } else { "T is ended, exit code 130" }.into()
}

fn end_stopped(scene: Scene) {
    let Scene { folder, running, .. } = scene;
    let finished = running.wait();
    finished.assert_code(INTERRUPTED);
    assert_eq!(finished.stdout, "Stopped { reason: \"SIGINT was received\" }\n");
    for task in ["busy end", "busy too end"] {
        assert!(!folder.has(task), "{task}");
    }
}

// ----- `pushflow run` -----

/// Two scripts that count the SIGINTs that they get, and end when there is the file `go`.
fn counting_scripts() -> Folder {
    let folder = Folder::new();
    let script = "#!/bin/sh
cd \"${0%/*}\" || exit
name=${0##*/}
trap 'echo interrupt >> \"$name.count\"' INT
echo $$ > \"$name.part\"
mv \"$name.part\" \"$name.pid\"
while ! [ -e go ]; do sleep 0.02; done
: > \"$name.end\"
";
    let node = |name: &str| {
        let path = folder.write_program(name, script);
        json!({"id": name, "task_type": "script", "task_identifier": path})
    };
    folder.write_graph(json!([node("one"), node("two")]), json!([]));
    folder
}

/// What it runs is busy.
struct CommandLine {
    folder: Folder,
    running: Running,
    scripts: [Process; 2],
}

impl CommandLine {
    /// On threads scripts print where the command line prints: nowhere, so that nobody waits for their end to know what
    /// the command line printed.
    fn start(place: Place, arguments: &[&str]) -> CommandLine {
        let folder = counting_scripts();
        let program = Program::pushflow_run(folder.graph()).args(["--pool", place.pool, "--workers", "2"]);
        let program = program.args(["--start-method", place.method]).args(arguments);
        let running = program.stdout(Stdio::null()).stderr(Stdio::null()).start();
        let scripts = ["one.pid", "two.pid"].map(|file| {
            folder.wait_for(file);
            let pid = folder.read(file).trim().parse().expect("the script wrote its pid");
            Process::find(pid).expect("the script waits")
        });
        CommandLine { folder, running, scripts }
    }

    fn start_patient(place: Place) -> CommandLine {
        CommandLine::start(place, &["--interrupt-grace", "10m"])
    }

    fn interrupt(&self, to: To) {
        match to {
            To::Alone => self.running.signal(Signal::SIGINT),
            To::Group => self.running.signal_group(Signal::SIGINT),
        }
    }

    /// How many SIGINTs the scripts have got.
    fn counts(&self) -> [usize; 2] {
        let count = |file| if self.folder.has(file) { self.folder.read(file).lines().count() } else { 0 };
        ["one.count", "two.count"].map(count)
    }

    fn wait_for_interrupts(&self) {
        wait_until("an interrupt of each", SOON, || self.counts().into_iter().all(|count| count > 0));
    }

    /// Waits for its end, and asserts that it was stopped and that nothing is left.
    fn end(self) -> Folder {
        self.running.wait().assert_code(INTERRUPTED);
        self.folder
    }
}

/// The command line gets SIGINT: each attempt gets one.
pub fn command_line_stops(place: Place, to: To) -> String {
    let line = CommandLine::start_patient(place);
    line.interrupt(to);
    line.wait_for_interrupts();
    line.folder.write("go", "");
    line.folder.wait_for("one.end");
    line.folder.wait_for("two.end");
    assert_eq!(line.counts(), [1, 1]);
    line.end();
    "T gets one SIGINT, exit code 130".into()
}

/// And a second one.
pub fn command_line_kills(place: Place, to: To) -> String {
    let line = CommandLine::start_patient(place);
    line.interrupt(to);
    line.wait_for_interrupts();
    line.interrupt(to);
    let folder = line.end();
    assert!(!folder.has("one.end") && !folder.has("two.end"));
    "T is ended, exit code 130".into()
}

/// The command line is killed.
pub fn command_line_killed(place: Place) -> String {
    let line = CommandLine::start(place, &[]);
    let killed = Instant::now();
    line.running.signal(Signal::SIGKILL);
    let CommandLine { folder, running, scripts } = line;
    if place.is_daemonic() {
        running.mark().assert_none_left_since(killed);
        running.wait_for_end();
        assert!(!folder.has("one.end") && !folder.has("two.end"));
        return "T is ended at once".into();
    }
    let (_, rest) = running.wait_for_end();
    assert!(scripts.iter().all(Process::is_running), "they may finish");
    folder.write("go", "");
    folder.wait_for("one.end");
    folder.wait_for("two.end");
    rest.mark().assert_none_left();
    "T may finish".into()
}
