//! What is on standard output is the result and nothing else, on every pool, and how a run is shown meanwhile.

use pushflow_tests::folder::Folder;
use pushflow_tests::libraries::is_there;
use pushflow_tests::run::{Finished, Program};

const PRINTS: &str = "
import os, subprocess
def task(**_):
    print('printed')
    os.write(1, b'written\\n')
    subprocess.run(['echo', 'echoed'])
    return {'reply': 'done'}
";

fn on(pool: &str, environment: &str, format: &str) -> Finished {
    let folder = Folder::with_tasks(PRINTS, &["task"]);
    let program = Program::pushflow_run(folder.graph()).args(["--pool", pool, "--environment", environment]);
    let finished = program.args(["--format", format]).run();
    for text in ["printed\n", "written\n", "echoed\n"] {
        finished.assert_code(0).assert_error(text);
    }
    finished
}

#[test]
fn what_tasks_print_is_not_beside_the_result_on_any_pool_in_any_format() {
    for (pool, environment) in [("process", "plain"), ("thread", "plain"), ("gevent", "green")] {
        if pool == "gevent" && !is_there("gevent") {
            continue;
        }
        assert_eq!(on(pool, environment, "text").stdout, "reply: done\n", "{pool}");
        assert_eq!(on(pool, environment, "json").result()["_ppfdict"]["reply"], "done", "{pool}");
    }
}

#[test]
fn the_bar_goes_on_while_one_task_runs_and_nothing_happens() {
    let module = "
import time
from pathlib import Path
def task(**_):
    while not (Path(__file__).parent / 'seen').exists():
        time.sleep(0.001)
    return {}
";
    let folder = Folder::with_tasks(module, &["task"]);
    let running = Program::pushflow_run(folder.graph()).args(["--progress", "bar"]).start();
    running.wait_for_error_text("  0 done, 1 running, 0 waiting\r\u{1b}[K");
    running.wait_for_error_text("\r\u{1b}[K0:02  0 done, 1 running, 0 waiting");
    folder.write("seen", "");
    let finished = running.wait();
    assert!(finished.assert_code(0).stderr.ends_with("\r\u{1b}[K"), "nothing is left of it: {finished:?}");
}
