//! [`Scene`]: a program with a pool of two workers, one busy and one idle, and all processes that must end.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pushflow_tests::folder::Folder;
use pushflow_tests::kernel_view::Wait;
use pushflow_tests::processes::{CLEAN_UP_LIMIT, Process, wait_since, wait_until};
use pushflow_tests::run::{Finished, Program, Running};
use serde_json::{Value, json};

/// The time limit, on a busy machine, for steps for which pushflow promises no time.
pub const SOON: Duration = Duration::from_secs(20);

/// The exit code of the program when it exits by itself.
pub const CODE: i32 = 7;

/// The pool and the start method of an experiment.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The pool.
    pub pool: &'static str,
    /// The start method.
    pub method: &'static str,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pool, self.method)
    }
}

impl Place {
    /// Whether tasks run in the program itself.
    pub fn is_thread(self) -> bool {
        self.pool == "thread"
    }

    /// Whether its workers are daemonic.
    pub fn is_daemonic(self) -> bool {
        matches!(self.pool, "multiprocessing" | "billiard")
    }
}

/// A program with a busy pool.
pub struct Scene {
    place: Place,
    /// The folder of the files through which test and program exchange messages.
    pub folder: Folder,
    /// The program: the parent.
    pub running: Running,
    /// The process of the busy attempt, T; of each, where there are two.
    pub tasks: Vec<Process>,
    /// What T has started itself, c.
    pub children: Vec<Process>,
    /// The idle workers, w.
    pub idle: Vec<Process>,
}

impl Scene {
    /// A pool with T and w; for the settings see the program.
    pub fn pool(place: Place, settings: Value) -> Scene {
        Scene::pool_with(place, settings, |program| program)
    }

    /// The same, with a program that `prepare` changes before its start.
    pub fn pool_with(place: Place, settings: Value, prepare: impl FnOnce(Program) -> Program) -> Scene {
        let mut scene = Scene::start_with(place, settings, prepare);
        scene.folder.wait_for("workers");
        scene.meet_task("busy");
        // With a pool in a task, the worker of that task is neither T's nor w.
        let outer = scene.outer().map(|outer| outer.pid);
        let busy = [Some(scene.tasks[0].pid), outer];
        let idle = scene.pids("workers").into_iter().filter(|&pid| !busy.contains(&Some(pid)));
        scene.idle = idle.map(process).collect();
        assert_eq!(scene.idle.len(), usize::from(!place.is_thread()), "the workers met in two processes");
        scene
    }

    /// A pool with idle workers only.
    pub fn idle_pool(place: Place, mut settings: Value) -> Scene {
        settings["busy"] = false.into();
        let mut scene = Scene::start(place, settings);
        scene.folder.wait_for("workers");
        scene.idle = scene.pids("workers").into_iter().map(process).collect();
        scene
    }

    /// A workflow of two busy tasks.
    pub fn workflow(place: Place, mut settings: Value) -> Scene {
        settings["what"] = "workflow".into();
        let mut scene = Scene::start(place, settings);
        scene.meet_task("busy");
        scene.meet_task("busy too");
        scene
    }

    fn start(place: Place, settings: Value) -> Scene {
        Scene::start_with(place, settings, |program| program)
    }

    /// A program that is prepared in some way.
    pub fn start_with(place: Place, settings: Value, prepare: impl FnOnce(Program) -> Program) -> Scene {
        let folder = Folder::new();
        // On threads a process that T starts is a child of the program itself, which pushflow does not end.
        let mut whole = json!({
            "folder": folder.path(""), "pool": place.pool, "start_method": place.method, "children": !place.is_thread(),
        });
        for (name, value) in settings.as_object().into_iter().flatten() {
            whole[name] = value.clone();
        }
        let program = Program::at(Path::new(env!("CARGO_BIN_EXE_pushflow-lifetime-program"))).arg(whole.to_string());
        let running = prepare(program).start();
        Scene { place, folder, running, tasks: Vec::new(), children: Vec::new(), idle: Vec::new() }
    }

    /// The content of a file that the program has written.
    pub fn read(&self, file: &str) -> Value {
        serde_json::from_str(&self.folder.read(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// The pids in a file that the program has written.
    pub fn pids(&self, file: &str) -> Vec<i32> {
        self.read(file).as_array().expect("the program writes a list").iter().map(pid).collect()
    }

    /// The worker whose task has a pool in which T runs, if T is such.
    pub fn outer(&self) -> Option<Process> {
        self.folder.has("outer").then(|| process(pid(&self.read("outer"))))
    }

    fn meet_task(&mut self, name: &str) {
        self.folder.wait_for(name);
        let said = self.read(name);
        self.tasks.push(process(pid(&said["pid"])));
        self.children.extend(said["children"].as_array().into_iter().flatten().map(pid).map(process));
    }

    // ----- what the test does -----

    /// The program goes on to its end.
    pub fn begin(&self) {
        self.folder.write("event", "");
    }

    /// T may finish.
    pub fn let_go(&self) {
        self.folder.write("go", "");
    }

    /// A signal to the program's process group, as a terminal sends one.
    pub fn signal_group(&self, signal: Signal) {
        self.running.signal_group(signal);
    }

    // ----- what the test finds -----

    /// T and its children run, and T has not come to its end.
    pub fn assert_busy(&self) {
        for process in self.tasks.iter().chain(&self.children) {
            assert!(process.is_running(), "{process:?} is gone");
        }
        assert!(!self.folder.has("busy end"), "T went on by itself");
    }

    /// T was ended or interrupted before it came to its end.
    pub fn assert_not_finished(&self) {
        assert!(!self.folder.has("go"), "T was let go");
        assert!(!self.folder.has("busy end"), "T came to its end");
    }

    /// Waits until w has ended, which shows that the pool ends.
    pub fn wait_for_idle_to_leave(&self) {
        wait_until("the end of idle workers", SOON, || !self.any_is_idle());
    }

    /// Waits until the main thread of the program waits for other threads in this way, which shows that a drop waits.
    pub fn wait_for_wait(&self, how: Wait) {
        wait_until("the program to wait", SOON, || Wait::of(self.running.pid()) == Some(how));
    }

    fn any_is_idle(&self) -> bool {
        self.idle.iter().any(Process::is_running)
    }

    /// What becomes of the other processes when the program was killed or ends without an exit.
    pub fn orphaned(self) -> String {
        if self.place.is_thread() || self.place.is_daemonic() {
            return self.all_ended();
        }
        wait_since(Instant::now(), "the end of idle workers", CLEAN_UP_LIMIT, || !self.any_is_idle());
        self.ended().1.may_finish()
    }

    /// The program has ended; the processes that it left are in the scene.
    pub fn ended(self) -> (Finished, Scene) {
        let Scene { place, folder, running, tasks, children, idle } = self;
        let (finished, running) = running.wait_for_end();
        (finished, Scene { place, folder, running, tasks, children, idle })
    }

    /// The same, and all processes end at once.
    pub fn all_ended(self) -> String {
        self.running.mark().assert_none_left_since(Instant::now());
        let (_, scene) = self.ended();
        scene.assert_not_finished();
        if scene.place.is_thread() { "T ends with the process" } else { "T, c and w are ended at once" }.into()
    }

    /// The program has ended, T goes on to its end, and then no process is left.
    fn may_finish(self) -> String {
        self.assert_busy();
        self.let_go();
        self.folder.wait_for("busy end");
        self.running.mark().assert_none_left();
        "w ends at once; T may finish, then c is ended".into()
    }

    /// The program waits for T, now that it exits, and ends then.
    pub fn exit_waits(mut self, code: i32) -> String {
        self.assert_busy();
        assert!(self.running.is_running(), "the exit did not wait");
        self.let_go();
        let folder = self.folder;
        self.running.wait().assert_code(code);
        assert!(folder.has("busy end"), "T did not come to its end");
        "waits for T".into()
    }

    /// The program ends although T does not.
    pub fn exit_ends_task(self, code: i32) -> String {
        let Scene { place, folder, running, .. } = self;
        running.wait().assert_code(code);
        assert!(!folder.has("busy end"), "T came to its end");
        if place.is_thread() { "T ends with the process".into() } else { "T is ended".into() }
    }

    /// The program exits with an open pool: asserts the rule of the pool.
    pub fn exit_by_rule(self, code: i32) -> String {
        if self.place.is_thread() || self.place.is_daemonic() {
            return self.exit_ends_task(code);
        }
        self.wait_for_idle_to_leave();
        self.exit_waits(code)
    }
}

/// A pid in JSON.
fn pid(value: &Value) -> i32 {
    value.as_i64().and_then(|pid| pid.try_into().ok()).expect("the program writes pids")
}

fn process(pid: i32) -> Process {
    Process::find(pid).unwrap_or_else(|| panic!("the process {pid} is gone already"))
}
