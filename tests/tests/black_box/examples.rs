//! The examples that the README shows: each command with its result.

use std::fs;
use std::process::Command;

use pushflow::PoolType;
use pushflow_tests::binaries::{build_folder, cargo, example, python, workspace};
use pushflow_tests::folder::Folder;
use pushflow_tests::libraries::is_there;
use pushflow_tests::run::Program;
use serde_json::{Value, json};

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
fn the_look_takes_one_branch_and_its_handler_answers_a_path_that_is_not_there() {
    let look = |path: &str| {
        let input = format!("path={path}");
        let finished = Program::pushflow_run(example("look.yaml"))
            .in_folder(workspace())
            .args([input.as_str(), "--format", "json"])
            .run();
        finished.assert_code(0).result()
    };
    let file = json!({"path": "rustfmt.toml", "is_folder": false, "bytes": 45, "lines": 2});
    assert_eq!(look("rustfmt.toml")["_ppfdict"], file);
    let folder = look("scheduler/examples");
    assert_eq!(folder["_ppfdict"]["entries"], json!(["getting_started.rs", "with_tokio"]));
    assert_eq!(look("nowhere")["return_value"], "sorry: [Errno 2] No such file or directory: 'nowhere'");
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

/// The result of an example on every pool that can run it, with and without scaling.
#[track_caller]
fn assert_on_every_pool(file: &str, inputs: &[&str], expected: &Value) {
    let has_gevent = is_there("gevent");
    for pool in PoolType::ALL.into_iter().filter(|&pool| pool != PoolType::Gevent || has_gevent) {
        let environment = if pool == PoolType::Gevent { "green" } else { "plain" };
        for scaling in [None, Some("--no-scaling")] {
            let program = Program::pushflow_run(example(file)).args(["--environment", environment]);
            let program = program.args(["--pool", pool.name(), "--workers", "2", "--format", "json"]);
            let finished = program.args(scaling).args(inputs).run();
            assert_eq!(finished.assert_code(0).result(), *expected, "{file} on {pool}, {scaling:?}");
        }
    }
}

#[test]
fn hello_greets_on_every_pool() {
    let expected = json!({"_ppfdict": {"name": "World", "reply": "Hello World!"}});
    assert_on_every_pool("hello.json", &["name=World"], &expected);
}

#[test]
fn the_bright_spot_is_found_on_every_pool_where_it_was_put() {
    if !is_there("numpy") {
        return;
    }
    // As in the example: the noise comes first from the generator, then the place of the spot.
    let script = "
import numpy
random = numpy.random.default_rng(5)
random.poisson(20 + numpy.mgrid[:128, :128][0] / 4, size=(32, 128, 128))
print(*random.integers(8, 120, size=2))";
    let output = Command::new(python()).args(["-c", script]).output().unwrap();
    let place: Vec<u64> =
        String::from_utf8(output.stdout).unwrap().split_whitespace().map(|text| text.parse().unwrap()).collect();
    let expected = json!({"return_value": {"row": place[0], "column": place[1], "images": 8}});
    assert_on_every_pool("numpy_spot.json", &["seed=5"], &expected);
}

/// Builds an example. The whole workspace is named, as for `cargo test`: of one package alone, cargo takes other features
/// of the libraries, and builds them all again.
#[track_caller]
fn build(target: [&str; 2]) {
    assert!(cargo("build").args(["--quiet", "--workspace"]).args(target).status().unwrap().success());
}

#[test]
fn the_example_in_rust_runs() {
    build(["--example", "getting_started"]);
    let finished = Program::at(&build_folder().join("examples/getting_started")).run();
    finished.assert_code(0);
    assert!(finished.stdout.contains("Hello World!"), "{finished:?}");
}

#[test]
fn the_example_with_tokio_runs() {
    build(["--bin", "pushflow-with-tokio"]);
    let finished = Program::at(&build_folder().join("pushflow-with-tokio")).run();
    let lines = "Hello Ada!\nHello Grace!\nStopped { reason: \"it took too long\" }\n";
    assert_eq!((finished.assert_code(0).stdout.as_str(), finished.stderr.as_str()), (lines, ""));
}

/// Whoever follows the first page waits for these crates to be built.
#[test]
fn the_first_example_is_built_without_crates_that_only_tests_need() {
    let tree = ["--package", "pushflow", "--edges", "normal,build,dev", "--prefix", "none", "--offline"];
    let target = ["--target", "x86_64-unknown-linux-gnu"];
    let output = Command::new(env!("CARGO")).arg("tree").args(tree).args(target).current_dir(workspace()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    let names = String::from_utf8(output.stdout).unwrap();
    let has = |name: &str| names.lines().any(|line| line.split(' ').next() == Some(name));
    assert!(has("pushflow-reactor"), "{names}");
    for name in ["proptest", "tokio", "pushflow-isolated-test"] {
        assert!(!has(name), "{name} is built for it");
    }
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
