//! Events of the program that has the pool: it is killed, exits, panics, or drops the pool.

use nix::sys::signal::Signal;
use pushflow_tests::kernel_view::Wait;
use pushflow_tests::processes::Process;
use serde_json::{Value, json};

use super::scene::{CODE, Place, Scene};

/// The exit code of a panic in `main`.
const PANICKED: i32 = 101;

/// Longer than what counts as a hang, in milliseconds.
const FOR_EVER: u64 = 600_000;

/// A short time, in milliseconds.
const SHORT: u64 = 200;

// ----- the program ends without an exit -----

/// A signal ends the program.
pub fn killed_by(place: Place, signal: Signal, settings: Value) -> String {
    let scene = Scene::pool(place, settings);
    scene.running.signal(signal);
    scene.orphaned()
}

/// The same, to the whole process group.
pub fn group_killed_by(place: Place, signal: Signal) -> String {
    let scene = Scene::pool(place, json!({}));
    scene.signal_group(signal);
    scene.orphaned()
}

/// The program ends itself, and no exit handler is called.
pub fn gone_by(place: Place, then: &str) -> String {
    let scene = Scene::pool(place, json!({"then": then}));
    scene.begin();
    scene.folder.wait_for("leaving");
    scene.orphaned()
}

/// Without an orphan grace.
pub fn killed_without_grace(place: Place) -> String {
    let scene = Scene::pool(place, json!({"orphan_grace": 0}));
    scene.running.signal(Signal::SIGKILL);
    scene.all_ended()
}

/// The program is killed while its exit waits for T, or for the grace of T, which ignores SIGTERM.
pub fn killed_while_it_exits(place: Place) -> String {
    if place.is_thread() {
        return "-".into();
    }
    let scene = Scene::pool(place, json!({"manner": "stubborn", "interrupt_grace": FOR_EVER}));
    scene.begin();
    scene.wait_for_idle_to_leave();
    if place.is_daemonic() {
        scene.folder.wait_for("terminated");
    }
    scene.assert_busy();
    scene.running.signal(Signal::SIGTERM);
    scene.orphaned()
}

/// The processes that T has started itself. On threads these are children of the program.
pub fn killed_with_children(place: Place) -> String {
    let scene = Scene::pool(place, json!({"children": true}));
    assert_eq!(scene.children.len(), 2);
    scene.running.signal(Signal::SIGKILL);
    if !place.is_thread() {
        scene.orphaned();
        return "c is ended, with T".into();
    }
    let (_, scene) = scene.ended();
    assert!(scene.children.iter().all(Process::is_running), "somebody ended them");
    "c is left: it was the program's own child".into()
}

// ----- the program exits with an open pool -----

/// The program ends in this way, and does not drop its pool.
pub fn exits_by(place: Place, then: &str) -> String {
    let scene = Scene::pool(place, json!({"then": then}));
    scene.begin();
    scene.exit_by_rule(if then == "panic" { PANICKED } else { CODE })
}

/// The same, with a handler for SIGTERM that exits.
pub fn exits_on_sigterm(place: Place) -> String {
    let scene = Scene::pool(place, json!({"handler": true}));
    scene.running.signal(Signal::SIGTERM);
    scene.exit_by_rule(CODE)
}

/// T ignores SIGTERM.
pub fn exits_with_stubborn_task(place: Place) -> String {
    let scene = Scene::pool(place, json!({"manner": "stubborn", "interrupt_grace": 1000}));
    scene.begin();
    if !place.is_daemonic() {
        return scene.exit_by_rule(CODE);
    }
    scene.folder.wait_for("terminated");
    scene.exit_ends_task(CODE);
    "SIGTERM; T is ended after the grace".into()
}

/// The exit does not wait.
pub fn exits_impatiently(place: Place) -> String {
    ends_task(place, json!({"wait_on_exit": false}))
}

fn ends_task(place: Place, settings: Value) -> String {
    let scene = Scene::pool(place, settings);
    scene.begin();
    scene.exit_ends_task(CODE)
}

/// The exit waits for T with a time limit. In one program the limit passes before T ends; in another the limit is never
/// reached.
pub fn exits_in_time(place: Place) -> String {
    let patient = Scene::pool(place, json!({"wait_on_exit_timeout": FOR_EVER}));
    patient.begin();
    let meanwhile = patient.exit_by_rule(CODE);
    then(meanwhile, ends_task(place, json!({"wait_on_exit_timeout": SHORT})))
}

/// The results before and after a time limit.
fn then(before: String, after: String) -> String {
    if before == after { after } else { format!("{before}; {after} when that is over") }
}

/// The exit interrupts T.
pub fn exits_and_interrupts(place: Place) -> String {
    let scene = Scene::pool(place, json!({"interrupt_on_exit": true}));
    scene.begin();
    if place.is_thread() || place.is_daemonic() {
        return scene.exit_ends_task(CODE);
    }
    interrupted(scene)
}

fn interrupted(scene: Scene) -> String {
    scene.folder.wait_for("busy interrupted");
    let Scene { folder, running, .. } = scene;
    running.wait().assert_code(CODE);
    assert!(!folder.has("go") && !folder.has("busy end"));
    "T is interrupted".into()
}

// ----- the program drops or closes the pool -----

/// `main` returns, and the pool is dropped on the way.
pub fn drops(place: Place, then: &str) -> String {
    let scene = Scene::pool(place, json!({"holder": "scope", "then": then}));
    scene.begin();
    drop_waits(scene, Wait::ForEver)
}

fn drop_waits(scene: Scene, how: Wait) -> String {
    scene.folder.wait_for("leaving");
    scene.wait_for_wait(how);
    scene.exit_waits(CODE)
}

/// The program exits, and drops nothing.
pub fn exits_in_scope(place: Place, then: &str) -> String {
    let scene = Scene::pool(place, json!({"holder": "scope", "then": then}));
    scene.begin();
    scene.exit_by_rule(CODE)
}

/// The program ends itself, and drops nothing.
pub fn gone_in_scope(place: Place, then: &str) -> String {
    let scene = Scene::pool(place, json!({"holder": "scope", "then": then}));
    scene.begin();
    scene.folder.wait_for("leaving");
    scene.orphaned()
}

/// A panic drops the pool.
pub fn panics_with_pool_in_scope(place: Place) -> String {
    let scene = Scene::pool(place, json!({"holder": "scope", "then": "panic"}));
    scene.begin();
    scene.exit_by_rule(PANICKED)
}

/// The drop does not wait.
pub fn drops_impatiently(place: Place) -> String {
    ends_task(place, json!({"holder": "scope", "wait_on_exit": false}))
}

/// The drop waits with a time limit, as the exit above.
pub fn drops_in_time(place: Place) -> String {
    let patient = Scene::pool(place, json!({"holder": "scope", "wait_on_exit_timeout": FOR_EVER}));
    patient.begin();
    let meanwhile = drop_waits(patient, Wait::Limited);
    then(meanwhile, ends_task(place, json!({"holder": "scope", "wait_on_exit_timeout": SHORT})))
}

/// The drop interrupts T.
pub fn drops_and_interrupts(place: Place) -> String {
    let scene = Scene::pool(place, json!({"holder": "scope", "interrupt_on_exit": true}));
    scene.begin();
    interrupted(scene)
}

// ----- T runs in a pool of a task -----

/// A pool type that tasks of this pool may open.
fn nested(place: Place) -> &'static str {
    if place.is_daemonic() { "billiard" } else { place.pool }
}

/// The program is killed.
pub fn killed_with_nested_pool(place: Place) -> String {
    if place.is_thread() { "-".into() } else { killed_by(place, Signal::SIGKILL, json!({"nested": nested(place)})) }
}

/// The program exits.
pub fn exits_with_nested_pool(place: Place) -> String {
    if place.is_thread() {
        return "-".into();
    }
    let scene = Scene::pool(place, json!({"nested": nested(place)}));
    scene.begin();
    scene.exit_by_rule(CODE)
}
