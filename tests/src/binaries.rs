//! The programs under test. The first test that asks for them builds them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// The programs `pushflow`, `pushflow-worker` and `pushflow-probe`, beside each other in the profile of the running test.
pub struct Binaries {
    /// The command line.
    pub pushflow: PathBuf,
    /// The worker program.
    pub worker: PathBuf,
    /// The probe.
    pub probe: PathBuf,
}

/// Where the programs are. The first call builds them.
///
/// # Panics
/// When they can't be built.
pub fn binaries() -> &'static Binaries {
    static BINARIES: LazyLock<Binaries> = LazyLock::new(build);
    &BINARIES
}

fn build() -> Binaries {
    let mut cargo = cargo("build");
    cargo.args(["--quiet", "--package", "pushflow-cli", "--package", "pushflow-worker"]);
    cargo.args(["--package", "pushflow-compat-probe"]);
    let status = cargo.status().expect("cargo can be started");
    assert!(status.success(), "the programs under test can't be built");
    let folder = build_folder();
    let program = |name: &str| folder.join(name);
    Binaries { pushflow: program("pushflow"), worker: program("pushflow-worker"), probe: program("pushflow-probe") }
}

/// A cargo command in the workspace, with the profile and the target folder of the running test.
pub fn cargo(command: &str) -> Command {
    let folder = build_folder();
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let target = folder.parent().expect("the folder of a profile is in the target folder");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.arg(command).args(["--profile", profile]).arg("--target-dir").arg(target).current_dir(workspace());
    cargo
}

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the workspace")
}

/// A file of the examples.
pub fn example(name: &str) -> PathBuf {
    workspace().join("examples").join(name)
}

/// Where cargo puts the programs of this profile: the folder above that of the running test, `deps`.
pub fn build_folder() -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a file");
    test.ancestors().nth(2).expect("cargo runs tests from TARGET/PROFILE/deps").to_owned()
}

/// The executable of the Python interpreter that `PUSHFLOW_PYTHON` or `python3` starts. These may be slow scripts that
/// look the interpreter up, so the tests start the executable itself.
///
/// # Panics
/// When there is no such program.
pub fn python() -> &'static Path {
    static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
        let python = std::env::var_os("PUSHFLOW_PYTHON").filter(|name| !name.is_empty());
        let output = Command::new(python.unwrap_or_else(|| "python3".into()))
            .args(["-c", "import sys; print(sys.executable)"])
            .output()
            .expect("the tests need python3");
        assert!(output.status.success(), "python3 does not work");
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end())
    });
    &PYTHON
}
