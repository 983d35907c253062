//! The interpreter's process: tasks that end or damage it, and the attempts after them.

use super::*;

const WILD: &str = "
import os, signal, sys, threading, time

def pid(): return {'pid': os.getpid()}
def exits(): os._exit(3)
def kills(): os.kill(os.getpid(), signal.SIGKILL)
def crashes(): os.kill(os.getpid(), signal.SIGSEGV)

def channel():
    files = '/proc/self/fd/'
    high = [fd for fd in os.listdir(files) if int(fd) >= 100 and os.path.lexists(files + fd)]
    return next(int(fd) for fd in high if os.readlink(files + fd).startswith('socket:'))

def writes_garbage():
    os.write(channel(), b'garbage')
    time.sleep(60)

def writes_a_huge_length():
    os.write(channel(), b'pfpy' + b'\\xff' * 8)
    time.sleep(60)

def writes_a_broken_reply():
    os.write(channel(), b'pfpy' + (3).to_bytes(8, 'little') + b'R\\x80\\x04')
    time.sleep(60)

def writes_later(path):
    target = channel()
    def write():
        while not os.path.exists(path): time.sleep(0.001)
        os.write(target, b'late')
        time.sleep(60)
    threading.Thread(target=write, daemon=True).start()
    return {}

def closes_the_channel():
    os.close(channel())
    time.sleep(60)

def closes_everything():
    os.closerange(0, 1000)
    return {}

def leaves_a_thread():
    threading.Thread(target=time.sleep, args=(60,)).start()
    return {}

def forks():
    child = os.fork()
    if child == 0:
        return {'from': 'the copy'}
    os.waitpid(child, 0)
    return {'from': 'the original'}

def forks_and_exits():
    child = os.fork()
    if child == 0:
        sys.exit(7)
    return {'status': os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}

def forks_and_raises():
    child = os.fork()
    if child == 0:
        sys.stderr = open(os.devnull, 'w')
        raise ValueError
    return {'status': os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}

def forks_and_looks():
    child = os.fork()
    if child == 0:
        try:
            channel()
        except StopIteration:
            os._exit(0)
        os._exit(1)
    return {'status': os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}

def leaves_a_copy_and_dies():
    child = os.fork()
    if child == 0:
        time.sleep(60)
    open('left', 'w').write(str(child))
    os._exit(4)

def replaces_output():
    sys.stdout = None
    sys.stderr = 5
    return {}
";

/// The error of a task that loses its interpreter. Also checks that the next attempt gets another interpreter.
#[track_caller]
fn loses(function: &str) -> TaskError {
    let mut python = Python::new(WILD);
    python.call("pid", &Data::new()).unwrap();
    let lost = python.host_pid().unwrap();
    let error = python.failure(function);
    assert_eq!((error.kind, error.type_name.as_str(), error.pid), (ErrorKind::WorkerLost, "WorkerLost", Some(lost)));
    assert_eq!(children(), "", "the lost process was reaped");
    assert_ne!(value(&python.call("pid", &Data::new()).unwrap(), "pid"), Value::Int(lost.into()));
    let message = error.message.replace(&format!("(pid {lost})"), "(pid N)");
    TaskError { message, ..error }
}

#[test]
fn one_interpreter_serves_all_tasks_of_a_runner() {
    let mut python = Python::new(WILD);
    let first = value(&python.call("pid", &Data::new()).unwrap(), "pid");
    assert_eq!(value(&python.call("pid", &Data::new()).unwrap(), "pid"), first);
    assert_eq!(first, Value::Int(python.host_pid().unwrap().into()));
    drop(python);
    assert_eq!(children(), "", "it ends with its runner");
}

#[test]
fn an_interpreter_that_ends_is_lost_with_how_it_ended_and_replaced() {
    assert_eq!(loses("exits").message, "the Python interpreter (pid N) exited with code 3");
    assert_eq!(loses("kills").message, "the Python interpreter (pid N) was killed by signal 9 (SIGKILL)");
    assert_eq!(loses("crashes").message, "the Python interpreter (pid N) was killed by signal 11 (SIGSEGV)");
}

#[test]
fn an_interpreter_that_breaks_the_channel_is_killed_and_replaced() {
    let killed = |reason: &str| format!("the Python interpreter (pid N) {reason}, and was killed");
    assert_eq!(loses("writes_garbage").message, killed(r#"sent the worker what is no reply (it starts with "garb")"#));
    assert_eq!(
        loses("writes_a_huge_length").message,
        killed("sent the worker what is no reply (a length of 18446744073709551615 bytes)")
    );
    assert_eq!(loses("writes_a_broken_reply").message, killed("sent the worker what is no reply (it ends too early)"));
    assert_eq!(loses("closes_the_channel").message, killed("closed its channel to the worker"));
}

#[test]
fn an_interpreter_without_any_file_left_ends() {
    assert_eq!(loses("closes_everything").message, "the Python interpreter (pid N) exited with code 1");
}

#[test]
fn an_interpreter_that_died_between_tasks_is_replaced_unnoticed() {
    let mut python = Python::new(WILD);
    python.call("pid", &Data::new()).unwrap();
    let host = python.host_pid().unwrap();
    let pid = nix::unistd::Pid::from_raw(host.try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    let ended = nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT;
    nix::sys::wait::waitid(nix::sys::wait::Id::Pid(pid), ended).unwrap();
    assert_ne!(value(&python.call("pid", &Data::new()).unwrap(), "pid"), Value::Int(host.into()));
}

#[test]
fn an_interpreter_that_says_something_between_tasks_is_replaced_unnoticed() {
    let mut python = Python::new(WILD);
    let file = python.folder.path().join("over");
    python.call("writes_later", &Data::new().with("path", file.to_str().unwrap())).unwrap();
    fs::write(&file, "").unwrap();
    let host = python.runner.host.as_mut().unwrap();
    let start = std::time::Instant::now();
    while host.is_usable() {
        assert!(start.elapsed() < std::time::Duration::from_secs(20), "nothing was said");
        std::thread::yield_now();
    }
    let lost = host.pid();
    assert_ne!(value(&python.call("pid", &Data::new()).unwrap(), "pid"), Value::Int(lost.into()));
}

#[test]
fn a_copy_that_comes_back_from_a_task_leaves_without_a_word() {
    let mut python = Python::new(WILD);
    assert_eq!(value(&python.call("forks", &Data::new()).unwrap(), "from"), Value::from("the original"));
    assert_eq!(value(&python.call("forks_and_exits", &Data::new()).unwrap(), "status"), Value::Int(7));
    assert_eq!(value(&python.call("forks_and_raises", &Data::new()).unwrap(), "status"), Value::Int(1));
}

#[test]
fn a_copy_does_not_hold_the_channel() {
    let mut python = Python::new(WILD);
    assert_eq!(value(&python.call("forks_and_looks", &Data::new()).unwrap(), "status"), Value::Int(0));
}

#[test]
fn a_copy_that_lives_on_does_not_hide_the_end_of_the_interpreter() {
    let folder = Folder::with("tasks.py", &WILD.replace("'left'", "__file__ + '.left'"));
    let error = python_runner(&folder).run(&task("tasks", "leaves_a_copy_and_dies"), &Data::new(), &Interrupter::new());
    assert!(error.unwrap_err().message.ends_with("exited with code 4"));
    let copy: i32 = fs::read_to_string(folder.path().join("tasks.py.left")).unwrap().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(copy), nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[test]
fn threads_that_a_task_leaves_behind_disturb_neither_tasks_nor_the_end() {
    let mut python = Python::new(WILD);
    python.call("leaves_a_thread", &Data::new()).unwrap();
    assert!(python.call("pid", &Data::new()).is_ok());
    let start = std::time::Instant::now();
    drop(python);
    assert!(start.elapsed() < std::time::Duration::from_secs(10));
    assert_eq!(children(), "");
}

#[test]
fn a_task_may_replace_its_output() {
    let mut python = Python::new(WILD);
    python.call("replaces_output", &Data::new()).unwrap();
    assert!(python.call("pid", &Data::new()).is_ok());
}
