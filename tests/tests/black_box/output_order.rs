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
