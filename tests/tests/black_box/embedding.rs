//! A crate of somebody else, outside the workspace, that uses the library: with `init()` it is its own worker and its own
//! tasks are known there; without, it needs `pushflow-worker`, and says so where there is none.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use pushflow_tests::binaries::{binaries, build_folder, cargo, workspace};
use pushflow_tests::folder::Folder;
use pushflow_tests::run::Program;

const WITH_INIT: &str = r#"
use pushflow::{Data, RunOptions, TaskSpec, Workflow, task};

#[task]
fn who(name: String) -> Result<Data, std::io::Error> {
    let executable = std::env::current_exe()?.display().to_string();
    Ok(Data::new().with("reply", format!("Hello {name}!")).with("executable", executable).with("pid", std::process::id() as i64))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pushflow::init();
    let mut workflow = Workflow::new("embedded");
    let (start, actor, stop) = (workflow.start()?, workflow.task("who", TaskSpec::rust("who"))?, workflow.stop()?);
    workflow.connect(start, actor)?;
    workflow.connect(actor, stop)?;
    let outcome = workflow.run(Data::new().with("name", "World"), &RunOptions::default())?;
    println!("{}", outcome.into_result()?.to_json()?);
    eprintln!("this is {}", std::process::id());
    Ok(())
}
"#;

const WITHOUT_INIT: &str = r#"
use pushflow::{Data, RunOptions, TaskSpec, Workflow};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut workflow = Workflow::new("embedded");
    let command = TaskSpec::command(["sh", "-c", "readlink /proc/$PPID/exe"]);
    let (start, actor, stop) = (workflow.start()?, workflow.task("who", command)?, workflow.stop()?);
    workflow.connect(start, actor)?;
    workflow.connect(actor, stop)?;
    match workflow.run(Data::new(), &RunOptions::default()) {
        Ok(outcome) => println!("{}", outcome.into_result()?.to_json()?),
        Err(error) => {
            eprintln!("error: {error}");
            std::process::exit(2);
        }
    }
    Ok(())
}
"#;

const WHOLE_INTERFACE: &str = include_str!("../../fixtures/whole_interface.rs");

/// The programs of the crate.
const PROGRAMS: [(&str, &str); 3] = [
    ("pushflow-embedding-with-init", WITH_INIT),
    ("pushflow-embedding-without-init", WITHOUT_INIT),
    ("pushflow-embedding-whole-interface", WHOLE_INTERFACE),
];

/// The folder with the [`PROGRAMS`], in which there is nothing else.
fn programs() -> &'static Folder {
    static PROGRAMS: LazyLock<Folder> = LazyLock::new(build);
    &PROGRAMS
}

fn build() -> Folder {
    let folder = Folder::new();
    let manifest = format!(
        "[package]\nname = \"pushflow-embedding\"\nedition = \"2024\"\n\n\
         [dependencies]\npushflow = {{ path = {:?} }}\n\n\
         [profile.dev]\ndebug = \"line-tables-only\"\n\n\
         [profile.release]\nstrip = \"debuginfo\"\n",
        workspace().join("scheduler")
    );
    fs::create_dir_all(folder.path("src/bin")).unwrap();
    folder.write("Cargo.toml", manifest);
    for (name, source) in PROGRAMS {
        folder.write(&format!("src/bin/{name}.rs"), source);
    }
    // The same versions, which are there already.
    fs::copy(workspace().join("Cargo.lock"), folder.path("Cargo.lock")).unwrap();
    let mut cargo = cargo("build");
    cargo.args(["--quiet", "--offline", "--manifest-path"]).arg(folder.path("Cargo.toml"));
    assert!(cargo.status().unwrap().success(), "the crate can't be built");
    let programs = Folder::new();
    for (name, _) in PROGRAMS {
        programs.copy_program(&build_folder().join(name));
    }
    programs
}

fn program(name: &str) -> Program {
    Program::at(&programs().path(name)).env("PATH", "/usr/bin:/bin")
}

#[test]
fn with_init_a_program_is_its_own_worker() {
    let finished = program("pushflow-embedding-with-init").run();
    let result = finished.assert_code(0).json();
    assert_eq!(result["reply"], "Hello World!");
    assert_eq!(result["executable"].as_str().map(Path::new), Some(&*programs().path("pushflow-embedding-with-init")));
    assert_ne!(finished.stderr, format!("this is {}\n", result["pid"]), "the task ran in the scheduler");
}

/// What a graph file can say, a program can say with `pushflow` alone: the crate names no other crate of the workspace.
#[test]
fn the_whole_interface_is_in_the_crate_pushflow() {
    let folder = Folder::new();
    let finished = program("pushflow-embedding-whole-interface").arg(folder.path("")).run();
    let result = r#"{"sum":"16 and 8 mm = 8 mm by sum","script":"script: --doubled 16\n"}"#;
    assert_eq!(finished.assert_code(0).stdout, format!("thread: {result}\nprocess: {result}\n"), "{finished:#?}");
    assert_eq!(finished.stderr, "");
}

#[test]
fn without_init_pushflow_worker_on_path_is_used() {
    let folder = Folder::new();
    let worker = folder.copy_program(&binaries().worker);
    let path = format!("{}:/usr/bin:/bin", folder.path("").display());
    let finished = program("pushflow-embedding-without-init").env("PATH", path).run();
    let result = finished.assert_code(0).json();
    assert_eq!(result["stdout"].as_str().map(str::trim_end).map(Path::new), Some(&*worker));
}

#[test]
fn without_init_and_without_pushflow_worker_it_is_said_what_to_do() {
    let finished = program("pushflow-embedding-without-init").run();
    let sentence = "error: there is no worker program: call pushflow::init() first thing in main, or set PUSHFLOW_WORKER, or put \
                    pushflow-worker beside this program or on PATH\n";
    assert_eq!(finished.assert_code(2).stderr, sentence);
}
