//! Changes that a task makes in its interpreter, and which of them the next task sees.

use super::*;

const CHANGES: &str = "
import os, signal, sys, time, warnings

def pid(): return {'pid': os.getpid()}

def changes_signals():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT, signal.SIGALRM])
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    return {}

def looks_at_signals():
    time.sleep(0.1)
    return {
        'handlers': [signal.getsignal(number) == signal.SIG_DFL for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM)],
        'mask': [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
        'interrupt': signal.getsignal(signal.SIGINT) is not signal.SIG_IGN,
        'pid': os.getpid(),
    }

def closes_low_files():
    os.closerange(0, 10)
    return {}

def closes_and_reopens():
    os.close(1)
    opened = os.open(os.devnull, os.O_WRONLY)
    os.close(2)
    return {'number': opened}

def closes_streams():
    sys.stdout.close()
    sys.stderr.close()
    sys.stdin.close()
    return {}

def replaces_streams():
    sys.stdout = open(os.devnull, 'w')
    sys.stderr = None
    return {}

def prints():
    print('printed')
    print('complained', file=sys.stderr)
    return {'files': [os.readlink('/proc/self/fd/{}'.format(number)) for number in range(3)], 'pid': os.getpid(),
            'input': sys.stdin.read()}

def warns():
    warnings.warn('careful')
    return {}
";

/// Runs a task after another one in the same interpreter.
#[track_caller]
fn after(function: &str, look: &str) -> [Data; 2] {
    let mut python = Python::new(CHANGES);
    let before = python.call(look, &Data::new()).unwrap();
    python.call(function, &Data::new()).unwrap();
    [before, python.call(look, &Data::new()).unwrap()]
}

#[test]
fn signal_handlers_masks_and_timers_are_put_back() {
    let [before, after] = after("changes_signals", "looks_at_signals");
    assert_eq!(value(&after, "handlers"), Value::from(vec![true; 3]));
    assert_eq!(value(&after, "mask"), value(&before, "mask"));
    assert_eq!(value(&after, "interrupt"), Value::Bool(true));
    assert_eq!(value(&after, "pid"), value(&before, "pid"), "the same interpreter");
}

#[test]
fn standard_files_that_a_task_closed_or_replaced_are_put_back() {
    for function in ["closes_low_files", "closes_and_reopens", "closes_streams", "replaces_streams"] {
        let [before, after] = after(function, "prints");
        for name in ["files", "pid", "input"] {
            assert_eq!(value(&after, name), value(&before, name), "{function}");
        }
    }
}

#[test]
fn a_warning_is_shown_in_every_attempt() {
    let folder = Folder::with("tasks.py", &CHANGES.replace("import os,", "import os, io,"));
    folder.write(
        "shown.py",
        "import contextlib, io, sys, tasks\ndef run():\n  text = io.StringIO()\n  sys.stderr = text\n  tasks.warns()\n  return {'x': text.getvalue()}",
    );
    let mut runner = python_runner(&folder);
    for _ in 0..2 {
        let result = runner.run(&task("shown", "run"), &Data::new(), &Interrupter::new()).unwrap();
        let text = value(&result, "x");
        assert!(text.as_str().unwrap().contains("UserWarning: careful"), "{text:?}");
    }
}

#[test]
fn numeric_libraries_use_one_thread_unless_told_otherwise() {
    let mut python = Python::new(
        "
import os
NAMES = ['OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS']
def run(): return {'x': [os.environ.get(name) for name in NAMES]}
",
    );
    let expected: Vec<Value> = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"]
        .map(|name| Value::from(std::env::var(name).unwrap_or_else(|_| "1".to_owned())))
        .into();
    assert_eq!(value(&python.call("run", &Data::new()).unwrap(), "x"), Value::from(expected));
}

#[test]
fn multiprocessing_knows_the_name_of_the_process_and_may_start_others() {
    let mut python = Python::new(
        "
import multiprocessing
def child(): pass
def run():
    process = multiprocessing.get_context('fork').Process(target=child)
    process.start()
    process.join()
    own = multiprocessing.current_process()
    return {'name': own.name, 'daemon': own.daemon, 'code': process.exitcode}
",
    );
    let result = python.call("run", &Data::new()).unwrap();
    assert_eq!(value(&result, "name"), Value::from("MainProcess"));
    assert_eq!((value(&result, "daemon"), value(&result, "code")), (Value::Bool(false), Value::Int(0)));
}
