//! The examples that the README shows: each command with its result.

use std::fs;
use std::process::Command;

use pushflow_tests::binaries::{build_folder, cargo, example};
use pushflow_tests::folder::Folder;
use pushflow_tests::run::Program;
use serde_json::json;

#[test]
fn hello_greets_whoever_it_is_given() {
    let finished = Program::pushflow_run(example("hello.json")).arg("name=World").run();
    assert_eq!(finished.assert_code(0).stdout, "name: World\nreply: Hello World!\n");
    assert_eq!(finished.stderr, "");
}

#[test]
fn hello_as_json_has_what_the_original_engine_returns() {
    let finished = Program::pushflow_run(example("hello.json")).args(["name=World", "--format", "json"]).run();
    let expected = json!({"_ppfdict": {"name": "World", "reply": "Hello World!"}});
    assert_eq!(finished.assert_code(0).result(), expected);
}

#[test]
fn hello_finds_python3_in_path() {
    let finished = Program::pushflow_run(example("hello.json")).without("PUSHFLOW_PYTHON").arg("name=World").run();
    assert!(finished.assert_code(0).stdout.contains("Hello World!"), "{finished:?}");
}

#[test]
fn a_graph_file_is_found_from_its_own_folder() {
    let folder = example("");
    let finished = Program::pushflow_run("hello.json").in_folder(folder).arg("name=World").run();
    assert!(finished.assert_code(0).stdout.contains("Hello World!"), "{finished:?}");
}

#[test]
fn the_loop_counts_to_its_limit() {
    let finished = Program::pushflow_run(example("loop.json")).args(["limit=10", "--format", "json"]).run();
    let expected = json!({"_ppfdict": {"value": 10, "limit": 10, "again": false}});
    assert_eq!(finished.assert_code(0).result(), expected);
}

#[test]
fn the_checksums_are_those_of_sha256sum() {
    let folder = Folder::new();
    let files = folder.path("the files");
    fs::create_dir_all(files.join("deep er/größer")).unwrap();
    let names =
        ["plain", "with space", "größe", "new\nline", "back\\slash", "-dash", "deep er/größer/last", "'quoted\""];
    for (number, name) in names.iter().enumerate() {
        fs::write(files.join(name), name.repeat(number * 1000)).unwrap();
    }
    assert_eq!(fs::metadata(files.join("plain")).unwrap().len(), 0);
    let output = folder.path("output");
    let inputs = [format!("directory={}", files.display()), format!("output={}", output.display())];
    let finished = Program::pushflow_run(example("checksums.json"))
        .args(inputs)
        .args(["--workers", "4", "--format", "json"])
        .run();
    let result = finished.assert_code(0).result();
    let manifest = fs::read_to_string(output.join("manifest.sha256")).unwrap();
    assert_eq!(result["return_value"], manifest);
    assert_eq!(sorted(&manifest), sorted(&sha256sum(&files)));
    let left: Vec<_> = fs::read_dir(&output).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["manifest.sha256"]);
}

#[test]
fn the_example_in_rust_runs() {
    let built =
        cargo("build").args(["--quiet", "--package", "pushflow", "--example", "getting_started"]).status().unwrap();
    assert!(built.success());
    let finished = Program::at(&build_folder().join("examples/getting_started")).run();
    finished.assert_code(0);
    assert!(finished.stdout.contains("Hello World!"), "{finished:?}");
}

/// One `sha256sum` over all files.
fn sha256sum(folder: &std::path::Path) -> String {
    let script = "find \"$0\" -type f -exec sha256sum -- {} +";
    let output = Command::new("sh").args(["-c", script]).arg(folder).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn sorted(lines: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.sort_unstable();
    lines
}
