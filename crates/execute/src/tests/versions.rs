//! Runs tasks in every CPython from 3.8 on that is found in `PATH` and among the versions of pyenv.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use super::*;

const TASKS: &str = "
import os, time
from pathlib import Path

class Own:
    def __init__(self, x): self.x = x

def makes():
    return {'none': None, 'big': 2 ** 70, 'text': 'größe', 'bytes': b'ab', 'tuple': (1, {2}), 'dict': {(1, 2): 'x'}, 'own': Own(3)}
def looks(none, big, text, bytes, tuple, dict, own):
    same = (none, big, text, bytes, tuple, dict) == (None, 2 ** 70, 'größe', b'ab', (1, {2}), {(1, 2): 'x'})
    return {'same': same and type(own) is Own and own.x == 3}
def fails():
    try:
        1 / 0
    except ZeroDivisionError as error:
        raise ValueError('no') from error
async def awaits(): return {'awaited': True}
def exits(): os._exit(3)
def sleeps(file):
    Path(file).touch()
    for _ in range(6000): time.sleep(0.01)
";

/// The interpreters by version. There is at least one, since all tests of this crate need one.
pub(super) fn interpreters() -> BTreeMap<String, PathBuf> {
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv"));
    let pyenv = std::env::var_os("PYENV_ROOT").map(PathBuf::from).or(home);
    let versions = pyenv.and_then(|pyenv| pyenv.join("versions").read_dir().ok()).into_iter().flatten().flatten();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).filter(|folder| !folder.ends_with("shims"));
    let folders = folders.chain(versions.map(|version| version.path().join("bin")));
    let names = ["python3".to_owned()].into_iter().chain((8..30).map(|minor| format!("python3.{minor}")));
    let names: Vec<String> = names.collect();
    let files = folders.flat_map(|folder| names.iter().map(move |name| folder.join(name)).collect::<Vec<_>>());
    let found = files.filter(|file| file.is_file()).filter_map(|file| Some((version(&file)?, file)));
    let found: BTreeMap<String, PathBuf> = found.collect();
    assert!(!found.is_empty(), "there is no interpreter");
    found
}

/// The version of a CPython, if tasks can run in it.
fn version(interpreter: &Path) -> Option<String> {
    let script = "import platform, sys
if sys.version_info >= (3, 8) and platform.python_implementation() == 'CPython': print(platform.python_version())";
    let output = Command::new(interpreter).args(["-c", script]).stderr(Stdio::null()).output().ok()?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|version| !version.is_empty())
}

/// Checks that an interpreter runs tasks, however it serves.
fn assert_works(name: &str, folder: &Folder, mut runner: Runner) {
    let mut call = |function: &str, inputs: &Data| runner.run(&task("tasks", function), inputs, &Interrupter::new());
    let made = call("makes", &Data::new()).unwrap();
    assert_eq!(value(&call("looks", &made).unwrap(), "same"), Value::Bool(true), "{name}");
    let error = call("fails", &Data::new()).unwrap_err();
    assert_error(&error, ErrorKind::Raised, "ValueError", "no");
    assert!(error.traceback.iter().any(|line| line.contains("ZeroDivisionError")), "{name}: {error:#?}");
    assert_eq!(value(&call("awaits", &Data::new()).unwrap(), "awaited"), Value::Bool(true), "{name}");
    assert!(call("exits", &Data::new()).unwrap_err().message.ends_with("exited with code 3"), "{name}");
    let file = folder.path().join(format!("{name}.began"));
    let interrupter = Interrupter::new();
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_for(folder, file.file_name().unwrap().to_str().unwrap());
            interrupter.interrupt();
        });
        let inputs = Data::new().with("file", file.to_str().unwrap());
        runner.run(&task("tasks", "sleeps"), &inputs, &interrupter).unwrap_err()
    });
    assert_error(&error, ErrorKind::Stopped, "KeyboardInterrupt", "the task was interrupted");
}

#[test]
fn every_version_that_is_found_runs_tasks() {
    let found = interpreters();
    assert!(!found.is_empty(), "the tests need python3");
    eprintln!("found: {found:?}");
    for (version, interpreter) in found {
        let folder = Folder::with("tasks.py", TASKS);
        let options = PythonOptions::new(interpreter, vec![folder.path().into()]);
        let launcher = Arc::new(DirectLauncher);
        let own = Runner::new(launcher.clone(), Some(options.clone()));
        assert_works(&format!("{version}-own"), &folder, own);
        for environment in Environment::ALL {
            let shared = Arc::new(SharedPython::new(options.clone(), environment, launcher.clone()));
            match shared.start(&Interrupter::new()) {
                Err(error) if environment == Environment::Green => {
                    assert!(error.message.contains("has no gevent"), "{version}: {error}");
                }
                started => {
                    started.unwrap();
                    let runner = Runner::sharing(launcher.clone(), shared);
                    assert_works(&format!("{version}-{environment}"), &folder, runner);
                }
            }
        }
    }
}
