//! Modules that are imported before the first task.

use std::sync::Arc;

use pushflow_model::TaskModule;
use pushflow_protocol::slabs::SlabStore;

use super::*;

/// A module that writes to a file by which process it was imported.
const NOTES: &str = "
import os, sys
from multiprocessing import current_process
from pathlib import Path
here = Path(__file__).parent
def view(): return repr((os.getpid(), sys.path, sys.argv, current_process().name, current_process().daemon))
with open(here / 'imported', 'a') as file: file.write(view() + '\\n')
def same(): return {'imported': (here / 'imported').read_text(), 'view': view() + '\\n'}
def pid(): return {'pid': os.getpid()}
";

fn preloading(folder: &Folder, modules: &[(&str, &str)]) -> PythonOptions {
    let named = |&(module, function): &(&str, &str)| TaskModule { module: module.into(), function: function.into() };
    PythonOptions { modules: modules.iter().map(named).collect(), ..options(folder) }
}

fn python(folder: &Folder, modules: &[(&str, &str)]) -> Runner {
    Runner::new(Arc::new(DirectLauncher), Some(preloading(folder, modules)))
}

fn call(runner: &mut Runner, module: &str, function: &str) -> Result<Data, TaskError> {
    runner.run(&task(module, function), &Data::new(), &Interrupter::new())
}

fn wait_for(folder: &Folder, file: &str) {
    while !folder.path().join(file).exists() {
        std::thread::yield_now();
    }
}

#[test]
fn a_module_is_imported_before_the_first_task_once_and_sees_what_the_task_sees() {
    let folder = Folder::with("tasks.py", NOTES);
    let mut runner = python(&folder, &[("tasks", "same"), ("tasks", "pid")]);
    runner.start_python(&Interrupter::new()).unwrap();
    wait_for(&folder, "imported");
    let seen = call(&mut runner, "tasks", "same").unwrap();
    assert_eq!(value(&seen, "imported"), value(&seen, "view"));
}

#[test]
fn files_and_modules_in_packages_are_imported_too() {
    let folder = Folder::with("file.py", NOTES);
    folder.write("package/__init__.py", "");
    folder.write("package/inner.py", NOTES);
    let mut runner = python(&folder, &[("file.py", "pid"), ("package", "inner"), ("package", "no_such_thing")]);
    runner.start_python(&Interrupter::new()).unwrap();
    wait_for(&folder, "imported");
    wait_for(&folder, "package/imported");
    call(&mut runner, "file.py", "pid").unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("imported")).unwrap().lines().count(), 1);
}

#[test]
fn the_start_does_not_wait_for_the_imports() {
    let folder = Folder::with("tasks.py", "import time\nwhile True: time.sleep(0.01)\n");
    let mut runner = python(&folder, &[("tasks", "run")]);
    runner.start_python(&Interrupter::new()).unwrap();
}

#[test]
fn an_import_that_fails_is_tried_again_by_the_task_and_fails_there() {
    for failure in ["1 / 0", "raise SystemExit(3)", "import no_such_module"] {
        let folder = Folder::with("tasks.py", &format!("{NOTES}\n{failure}\n"));
        let mut runner = python(&folder, &[("no_such_module", "run"), ("tasks", "pid")]);
        let error = call(&mut runner, "tasks", "pid").unwrap_err();
        let expected = ["ZeroDivisionError", "SystemExit", "ModuleNotFoundError"];
        assert!(expected.contains(&error.type_name.as_str()), "{failure}: {error:?}");
        assert_eq!(fs::read_to_string(folder.path().join("imported")).unwrap().lines().count(), 2, "{failure}");
        assert!(call(&mut runner, "no_such_module", "run").unwrap_err().message.starts_with("no module named"));
    }
}

#[test]
fn an_import_that_ends_the_interpreter_is_named() {
    let cases = [
        ("os._exit(7)", "exited with code 7"),
        ("signal.raise_signal(11)", "was killed by signal 11 (SIGSEGV)"),
        ("os.closerange(3, 1024)", "exited with code 1"),
    ];
    for (end, how) in cases {
        let folder = Folder::with("tasks.py", &format!("import os, signal\n{end}"));
        let options = preloading(&folder, &[("json", "loads"), ("tasks", "run")]);
        let shared = Arc::new(SharedPython::new(options.clone(), Environment::Plain, Arc::new(DirectLauncher)));
        let launcher = Arc::new(DirectLauncher);
        let runners = [Runner::new(launcher.clone(), Some(options.clone())), Runner::sharing(launcher, shared)];
        // A shared interpreter does not end when one of its channels is closed.
        let count = if end.contains("close") { 1 } else { 2 };
        for mut runner in runners.into_iter().take(count) {
            let error = call(&mut runner, "tasks", "run").unwrap_err();
            let python = options.interpreter.to_string_lossy();
            let message = format!("the Python interpreter {python} {how} while it imported the module \"tasks\"");
            assert_error(&error, ErrorKind::WorkerLost, "WorkerLost", &message);
        }
    }
}

#[test]
fn an_import_that_takes_too_long_is_ended_and_named() {
    let folder = Folder::with("tasks.py", "import time\nwhile True: time.sleep(0.01)\n");
    let options = preloading(&folder, &[("tasks", "run")]);
    let mut host = PythonHost::start(&options, &DirectLauncher, Arc::new(SlabStore::default())).unwrap();
    host.limit_imports(std::time::Duration::ZERO);
    let error = host.make_ready(&Interrupter::new()).unwrap_err();
    let python = options.interpreter.to_string_lossy();
    let message =
        format!("the Python interpreter {python} had not imported the module \"tasks\" after 0 s, and was killed");
    assert_error(&error, ErrorKind::WorkerLost, "WorkerLost", &message);
    assert_eq!(children(), "");
}

#[test]
fn an_interrupt_during_an_import_ends_the_wait_and_names_the_module() {
    let folder = Folder::with(
        "tasks.py",
        "import time\nfrom pathlib import Path\n(Path(__file__).parent / 'began').touch()\nwhile True: time.sleep(0.01)\n",
    );
    let mut runner = python(&folder, &[("tasks", "run")]);
    let interrupter = Interrupter::new();
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_for(&folder, "began");
            interrupter.interrupt();
        });
        runner.run(&task("tasks", "run"), &Data::new(), &interrupter).unwrap_err()
    });
    let message =
        "the attempt was interrupted before it started, while the Python interpreter imported the module \"tasks\"";
    assert_error(&error, ErrorKind::Stopped, "Stopped", message);
    assert_eq!(children(), "");
}

#[test]
fn an_interrupt_during_an_import_leaves_the_neighbours_their_interpreter() {
    let slow = "
import os, time
from pathlib import Path
here = Path(__file__).parent
(here / 'pid').write_text(str(os.getpid()))
(here / 'began').touch()
while not (here / 'go').exists(): time.sleep(0.001)
";
    let folder = Folder::with("slow.py", slow);
    folder.write("tasks.py", NOTES);
    let options = preloading(&folder, &[("slow", "run"), ("tasks", "pid")]);
    let shared = Arc::new(SharedPython::new(options, Environment::Plain, Arc::new(DirectLauncher)));
    let interrupter = Interrupter::new();
    std::thread::scope(|scope| {
        let neighbour = scope.spawn(|| {
            let mut runner = Runner::sharing(Arc::new(DirectLauncher), shared.clone());
            call(&mut runner, "tasks", "pid")
        });
        wait_for(&folder, "began");
        scope.spawn(|| {
            // The main thread, and one thread for each of the two attempts.
            let threads = format!("/proc/{}/task", fs::read_to_string(folder.path().join("pid")).unwrap());
            while fs::read_dir(&threads).unwrap().count() < 3 {
                std::thread::yield_now();
            }
            interrupter.interrupt();
        });
        let mut runner = Runner::sharing(Arc::new(DirectLauncher), shared.clone());
        let error = runner.run(&task("tasks", "pid"), &Data::new(), &interrupter).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Stopped, "{error:?}");
        fs::write(folder.path().join("go"), "").unwrap();
        neighbour.join().unwrap().unwrap();
    });
    assert_eq!(fs::read_to_string(folder.path().join("imported")).unwrap().lines().count(), 1);
}

#[test]
fn what_an_import_does_to_its_process_is_undone_before_the_first_task() {
    let module = "
import os, signal, sys
before = signal.getsignal(signal.SIGTERM)
signal.signal(signal.SIGTERM, lambda *_: None)
signal.signal(signal.SIGINT, signal.SIG_IGN)
print('printed by the import')
sys.stdout = None
os.closerange(0, 10)
if os.fork() == 0: pass  # the copy comes back from the import, and leaves
def pid(): return {'pid': os.getpid(), 'same': signal.getsignal(signal.SIGTERM) is before, 'out': sys.stdout is not None}
";
    let folder = Folder::with("tasks.py", module);
    let mut runner = python(&folder, &[("tasks", "pid")]);
    let seen = call(&mut runner, "tasks", "pid").unwrap();
    assert_eq!((value(&seen, "same"), value(&seen, "out")), (Value::Bool(true), Value::Bool(true)));
    let host = runner.host.as_ref().map(PythonHost::pid).unwrap();
    assert_eq!(value(&seen, "pid"), Value::Int(host.into()));
}
