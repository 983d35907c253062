//! Events of workers: a worker is killed or gets a signal. The program goes on.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pushflow_tests::processes::{Process, wait_until};
use serde_json::{Value, json};

use super::scene::{CODE, Place, SOON, Scene};

fn signal(process: &Process, signal: Signal) {
    kill(Pid::from_raw(process.pid), signal).expect("it is there");
}

/// A signal ends the worker of T, which has children.
pub fn busy_worker_ended_by(place: Place, number: Signal) -> String {
    if place.is_thread() {
        return "-".into();
    }
    let scene = Scene::pool(place, json!({"then": "meet"}));
    signal(&scene.tasks[0], number);
    scene.folder.wait_for("outcome");
    assert_lost(&scene, &scene.tasks[0], number);
    wait_until("the end of T's children", SOON, || !scene.children.iter().any(Process::is_running));
    // The idle worker is still the same, and a new worker is there besides.
    scene.begin();
    let after = workers_after(scene);
    assert!(after.iter().filter(|&&same| same).count() == 1, "the idle worker was replaced");
    "T fails: WorkerLost, pid and signal; c is ended; the pool goes on".into()
}

fn assert_lost(scene: &Scene, worker: &Process, number: Signal) {
    let outcome = scene.read("outcome");
    let signal = format!("killed by signal {} ({})", number as i32, number.as_str());
    let message = format!("the worker process (pid {}) was {signal}", worker.pid);
    assert_eq!(outcome["kind"], "WorkerLost", "{outcome}");
    assert_eq!(outcome["pid"], worker.pid, "{outcome}");
    assert!(outcome["message"].as_str().is_some_and(|said| said.starts_with(&message)), "{outcome}");
    scene.assert_not_finished();
}

/// For each of the two workers after the event, whether it was there before the event.
fn workers_after(scene: Scene) -> Vec<bool> {
    scene.folder.wait_for("workers after");
    let (before, after) = (scene.pids("workers"), scene.pids("workers after"));
    let Scene { folder: _folder, running, .. } = scene;
    running.wait().assert_code(CODE);
    after.iter().map(|pid| before.contains(pid)).collect()
}

/// Idle workers get SIGKILL or SIGTERM, and then four tasks run. If T is there, it holds the other worker.
fn idle_ended_then_tasks(scene: Scene, number: Signal) {
    scene.idle.iter().for_each(|worker| signal(worker, number));
    // A worker that is killed begins no further task. A worker that is asked to end may begin one, until it has handled
    // the signal.
    if number != Signal::SIGKILL {
        scene.wait_for_idle_to_leave();
    }
    scene.begin();
    scene.folder.wait_for("four");
    assert!(!scene.idle.iter().any(Process::is_running));
    if !scene.tasks.is_empty() {
        scene.assert_busy();
        scene.let_go();
        scene.folder.wait_for("outcome");
        assert_eq!(scene.read("outcome"), json!({"kind": "Finished"}));
    }
    scene.folder.write("return", "");
    let Scene { folder: _folder, running, .. } = scene;
    let finished = running.wait();
    finished.assert_code(CODE);
    assert_eq!(finished.stderr, "", "somebody noticed");
}

/// A signal ends the idle worker while T runs.
pub fn idle_worker_ended_by(place: Place, number: Signal) -> String {
    if place.is_thread() {
        return "-".into();
    }
    idle_ended_then_tasks(Scene::pool(place, json!({"then": "four tasks"})), number);
    "nobody notices; all finish".into()
}

/// Signals end all workers, which are idle.
pub fn all_idle_workers_ended_by(place: Place, number: Signal) -> String {
    if place.is_thread() {
        return "-".into();
    }
    idle_ended_then_tasks(Scene::idle_pool(place, json!({"then": "four tasks"})), number);
    "nobody notices; all finish".into()
}

/// The idle worker gets SIGINT.
pub fn idle_worker_interrupted(place: Place) -> String {
    if place.is_thread() {
        return "-".into();
    }
    let scene = Scene::pool(place, json!({"then": "meet"}));
    signal(&scene.idle[0], Signal::SIGINT);
    scene.assert_busy();
    scene.let_go();
    finish_with_same_workers(scene, &json!({"kind": "Finished"}));
    "ignored".into()
}

/// The worker of T gets SIGINT.
pub fn busy_worker_interrupted(place: Place) -> String {
    if place.is_thread() {
        return "-".into();
    }
    let scene = Scene::pool(place, json!({"then": "meet"}));
    signal(&scene.tasks[0], Signal::SIGINT);
    scene.folder.wait_for("busy interrupted");
    scene.assert_not_finished();
    let pid = scene.tasks[0].pid;
    finish_with_same_workers(scene, &json!({"kind": "Stopped", "message": "the attempt was cancelled", "pid": pid}));
    "T is interrupted; the pool goes on".into()
}

/// Asserts that T has this outcome, and that the two workers are still there.
fn finish_with_same_workers(scene: Scene, outcome: &Value) {
    scene.folder.wait_for("outcome");
    assert_eq!(scene.read("outcome"), *outcome);
    scene.begin();
    assert_eq!(workers_after(scene), [true, true], "a worker was replaced");
}

/// A worker is killed while its task has a pool, in which T runs.
pub fn worker_with_nested_pool_killed(place: Place) -> String {
    if place.is_thread() {
        return "-".into();
    }
    let nested = if place.is_daemonic() { "billiard" } else { place.pool };
    let scene = Scene::pool(place, json!({"then": "meet", "nested": nested}));
    let outer = scene.outer().expect("a task said that it has a pool");
    outer.kill();
    scene.folder.wait_for("outcome");
    assert_lost(&scene, &outer, Signal::SIGKILL);
    let rest = || scene.tasks.iter().chain(&scene.children).any(Process::is_running);
    wait_until("the end of T and its children", SOON, || !rest());
    scene.begin();
    workers_after(scene);
    "T and c are ended, the pool goes on".into()
}
