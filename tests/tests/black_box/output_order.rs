//! What many short tasks print: each line under the name of the task that printed it, whole.

use std::collections::BTreeSet;

use pushflow_tests::folder::Folder;
use pushflow_tests::run::Program;
use serde_json::{Value, json};

/// How many tasks there are.
const TASKS: usize = 4000;

/// The answer of a task must not overtake what it printed, also where that was read while the task ended.
#[test]
fn what_short_tasks_print_is_named_after_them_and_not_after_the_worker() {
    let module = "import sys\n\ndef task(name):\n    print(name, 'says this')\n    print(name, 'complains', file=sys.stderr)\n    return {}\n";
    let folder = Folder::with_tasks(module, &[]);
    let node = |number: usize| {
        let name = format!("task {number}");
        let inputs = json!([{"name": "name", "value": name}]);
        json!({"id": name, "task_type": "ppfmethod", "task_identifier": "tasks.task", "default_inputs": inputs})
    };
    folder.write_graph((0..TASKS).map(node).collect::<Value>(), json!([]));
    let lines = |number| ["says this", "complains"].map(|what| format!("task {number}| task {number} {what}"));
    let expected: BTreeSet<String> = (0..TASKS).flat_map(lines).collect();
    for workers in ["1", "2"] {
        let finished = Program::pushflow_run(folder.graph()).args(["--workers", workers]).run();
        let printed: Vec<&str> = finished.assert_code(0).stderr.lines().collect();
        let odd: Vec<_> = printed.iter().filter(|line| !expected.contains(**line)).collect();
        assert!(odd.is_empty(), "{workers} workers: {} lines such as {:?}", odd.len(), odd.first());
        assert_eq!(printed.len(), expected.len(), "{workers} workers");
    }
}

/// More than is read at a time, by attempts that follow each other at once.
#[test]
fn what_tasks_print_at_length_is_named_after_them_line_by_line() {
    const LINES: usize = 10_000;
    let module = format!(
        "import sys\n\ndef task(name):\n    for line in range({LINES}):\n        print(name, 'says', line)\n        \
         if line % 100 == 0:\n            print(name, 'complains', line, file=sys.stderr)\n    return {{}}\n"
    );
    let folder = Folder::with_tasks(&module, &[]);
    let names: Vec<String> = (0..20).map(|number| format!("task {number}")).collect();
    let node = |name: &String| {
        let inputs = json!([{"name": "name", "value": name}]);
        json!({"id": name, "task_type": "ppfmethod", "task_identifier": "tasks.task", "default_inputs": inputs})
    };
    folder.write_graph(names.iter().map(node).collect::<Value>(), json!([]));
    for workers in ["1", "2"] {
        let finished = Program::pushflow_run(folder.graph()).args(["--workers", workers]).run();
        let printed = &finished.assert_code(0).stderr;
        for name in &names {
            for (what, step) in [("says", 1), ("complains", 100)] {
                let prefix = format!("{name}| {name} {what} ");
                let lines: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix(&prefix)).collect();
                let expected: Vec<String> = (0..LINES).step_by(step).map(|line| line.to_string()).collect();
                let wrong = lines.iter().zip(&expected).find(|(line, expected)| line != expected);
                assert!(wrong.is_none(), "{workers} workers, {prefix}: {wrong:?}");
                assert_eq!(lines.len(), expected.len(), "{workers} workers, {prefix}");
            }
        }
        let all = names.len() * (LINES + LINES / 100);
        let odd = || printed.lines().find(|line| !line.starts_with("task "));
        assert_eq!(printed.lines().count(), all, "{workers} workers: {:?}", odd());
    }
}

/// A program that a task runs may ask not to wait for its output, as some do with every file that they are given.
#[test]
fn a_task_that_does_not_want_to_wait_for_its_output_takes_nothing_from_the_next_one() {
    const LINES: usize = 20_000;
    let module = format!(
        "import os\n\ndef hurried(**inputs):\n    os.set_blocking(1, False)\n    os.set_blocking(2, False)\n    \
         return {{}}\n\ndef failing(**inputs):\n    os.set_blocking(1, False)\n    try:\n        while True:\n            \
         os.write(1, b'x' * 1023 + b'\\n')\n    except BlockingIOError:\n        raise ValueError('it was full')\n\n\
         def chatty(**inputs):\n    for line in range({LINES}):\n        print('a line of some length, number', line)\n    \
         return {{}}\n"
    );
    for first in ["hurried", "failing"] {
        let folder = Folder::with_tasks(&module, &[]);
        let node =
            |name: &str| json!({"id": name, "task_type": "ppfmethod", "task_identifier": format!("tasks.{name}")});
        let link = json!({"source": first, "target": "chatty", "map_all_data": true, "on_error": first == "failing"});
        folder.write_graph(json!([node(first), node("chatty")]), json!([link]));
        let finished = Program::pushflow_run(folder.graph()).args(["--workers", "1"]).run();
        let printed = &finished.assert_code(0).stderr;
        let lines = printed.lines().filter(|line| line.starts_with("chatty| a line of some length, number ")).count();
        assert_eq!(lines, LINES, "after {first}");
        let known = ["chatty| ", "failing| x", "note: an error of failing "];
        let odd = printed.lines().find(|line| !known.iter().any(|known| line.starts_with(known)));
        assert_eq!(odd, None, "after {first}");
    }
}
