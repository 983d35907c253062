//! [`Folder`]: a temporary folder for a graph file and the modules and scripts of its tasks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::processes::wait_until;

/// How long a task may take to write a file that a test waits for.
const FILE_LIMIT: Duration = Duration::from_secs(30);

/// A temporary folder, removed when it is dropped.
pub struct Folder(TempDir);

impl Folder {
    /// An empty folder.
    #[expect(clippy::new_without_default, reason = "making a folder is an effect, not a default")]
    pub fn new() -> Folder {
        Folder(tempfile::Builder::new().prefix("black-box-").tempdir().expect("a temporary folder can be made"))
    }

    /// A folder with a Python module `tasks` and a graph with one node for each of these functions of the module. A node
    /// is named like its function, and has no links.
    pub fn with_tasks(module: &str, functions: &[&str]) -> Folder {
        let folder = Folder::new();
        folder.write("tasks.py", module);
        let node =
            |name: &&str| json!({"id": name, "task_type": "ppfmethod", "task_identifier": format!("tasks.{name}")});
        folder.write_graph(functions.iter().map(node).collect(), json!([]));
        folder
    }

    /// A folder with a script and a graph of one node, `script`, that runs it.
    pub fn with_script(script: &str, default_inputs: Value) -> Folder {
        let folder = Folder::new();
        folder.write_program("script.sh", script);
        let node = json!({
            "id": "script",
            "task_type": "script",
            "task_identifier": folder.path("script.sh"),
            "default_inputs": default_inputs,
        });
        folder.write_graph(json!([node]), json!([]));
        folder
    }

    /// The path of a file of this name, whether it exists or not.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    /// The graph file.
    pub fn graph(&self) -> PathBuf {
        self.path("graph.json")
    }

    /// Writes a file.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("the folder can be written to");
        path
    }

    /// Writes a file that can be executed.
    pub fn write_program(&self, name: &str, content: &str) -> PathBuf {
        let path = self.write(name, content);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is this test's own file");
        path
    }

    /// Copies a program here. Another process writes the copy: a file of this one that is open for writing would be
    /// inherited by the programs that other tests start meanwhile, and a program that is open for writing can't be
    /// executed (`ETXTBSY`, execve(2)).
    pub fn copy_program(&self, program: &Path) -> PathBuf {
        let copy = self.path(program.file_name().expect("a program has a name"));
        let copied = std::process::Command::new("cp").arg(program).arg(&copy).status().expect("cp starts");
        assert!(copied.success(), "a program can be copied");
        copy
    }

    /// Writes the graph file.
    pub fn write_graph(&self, nodes: Value, links: Value) -> PathBuf {
        let graph = json!({"graph": {"id": "test", "schema_version": "1.1"}, "nodes": nodes, "links": links});
        self.write("graph.json", graph.to_string())
    }

    /// Whether a file exists.
    pub fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The content of a file.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Waits until a task has written a file.
    pub fn wait_for(&self, name: &str) {
        wait_until(&format!("the file {name}"), FILE_LIMIT, || self.has(name));
    }
}
