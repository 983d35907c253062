//! The rows of the table: what the task does, and what its submitter must see.

use pushflow_tests::folder::Folder;
use serde_json::Value;

/// One row.
pub struct Row {
    /// What the task does.
    pub event: &'static str,
    /// The step of the test program as JSON, where `READY` stands for a file of the experiment's folder.
    step: &'static str,
    /// What the submitter sees on every pool of processes.
    pub seen: &'static str,
    /// The same on the pool `thread`.
    pub thread: Thread,
    /// What the original did when it was measured.
    pub original: &'static str,
    /// Whether it prints so much that nobody should keep it.
    pub floods: bool,
}

/// What becomes of a row on the pool `thread`, where tasks run in the program itself.
pub enum Thread {
    /// The same as on the pools of processes.
    Same,
    /// The submitter sees this.
    Sees(&'static str),
    /// The program ends in this way.
    Ends(&'static str),
    /// The experiments of the table leave the row out. The text says why, or names the test that shows what happens.
    Apart(&'static str),
}

impl Row {
    pub fn is_python(&self) -> bool {
        self.step.starts_with("{\"python\"")
    }

    /// The step for this pool.
    pub fn step(&self, folder: &Folder) -> Value {
        let text = self.step.replace("READY", &folder.path("ready").to_string_lossy());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", self.event))
    }
}

const fn row(
    event: &'static str,
    step: &'static str,
    seen: &'static str,
    thread: Thread,
    original: &'static str,
) -> Row {
    Row { event, step, seen, thread, original, floods: false }
}

const fn python(event: &'static str, step: &'static str, seen: &'static str, original: &'static str) -> Row {
    row(event, step, seen, Thread::Same, original)
}

const RAISES: &str = "the exception, on processes with the remote traceback";
const RETURNS: &str = "thread: delivered; (nd)process: AttributeError; others: MaybeEncodingError";
const RAISES_BADLY: &str = "thread: the exception; (nd)process: another one; others: MaybeEncodingError";
const UNDECODABLE: &str =
    "thread: the exception; (nd)process: BrokenProcessPool, the pool is dead; others: no answer, the exit hangs";
const DIES: &str = "thread: the program dies; (nd)process: BrokenProcessPool; (nd)multiprocessing: no answer, the exit \
                    hangs; billiard: an error after 11.5 s";
const EXITS: &str = "thread: raised at the submitter, or no answer; billiard: the exception; others: no answer, the pool is \
                     dead, the exit hangs";
const KEYBOARD: &str = "thread: raised at the submitter, or no answer; others: StopPypushflowTask";
const UNSENT: &str = "thread: runs; billiard: silently lost; others: AttributeError";
const KILLED: &str = "(nd)process: BrokenProcessPool, the pool is dead; (nd)multiprocessing: waits for ever; billiard: an \
                      error after 11.5 s";
const NOT_MEASURED: &str = "not measured";

const KILLED_FROM_OUTSIDE: &str = "`WorkerLost`: the worker process (pid N) was killed by signal 9 (SIGKILL), with N MiB in \
                                   use: killed from outside, or out of memory";
const KILLED_ALONE: &str = "`WorkerLost`: the worker process (pid N) was killed by signal 9 (SIGKILL), with N MiB in use: \
                            killed from outside, or out of memory; within a second, and no other task fails";
const ENDED: &str =
    "`Stopped`: the worker process (pid N) was killed by signal 9 (SIGKILL) after it had been interrupted";

const COMMAND_ENDED: &str = "`Stopped`: sh was interrupted and was killed by signal 9 (SIGKILL)";
const NO_SUCH_TASK: &str = "`NotFound`: no task named \"is_fin\" is in this program (there are N; did you mean \"is_fine\"?): a \
                            #[task] function must be part of the program that runs as worker, whose main calls \
                            pushflow::init() first";

/// The rows, of each kind of task in their order.
pub const ROWS: &[Row] = &[
    row(
        "Rust: returns an `Err`",
        r#"{"rust": "returns_an_error"}"#,
        "`Raised`: Error: the task's own error",
        Thread::Same,
        RAISES,
    ),
    row("Rust: panics", r#"{"rust": "panics"}"#, "`Panicked`: the task's own words", Thread::Same, RAISES),
    python("Python: raises", r#"{"python": "raises"}"#, "`Raised`: ValueError: wrong value", RAISES),
    row(
        "Rust: returns what nests deeper than 128 levels",
        r#"{"rust": "returns_what_nests_too_deep"}"#,
        "`BadResult`: the result can't travel: the value nests deeper than 128 levels",
        Thread::Sees("the result"),
        RETURNS,
    ),
    python("Python: returns an object", r#"{"python": "returns_an_object"}"#, "the result", RETURNS),
    python(
        "Python: returns what can't be pickled",
        r#"{"python": "returns_a_lock"}"#,
        "`BadResult`: the result's entry \"lock\" holds a _thread.lock that can't be pickled (TypeError: cannot pickle '_thread.lock' object)",
        RETURNS,
    ),
    python(
        "Python: returns what contains itself",
        r#"{"python": "returns_no_end"}"#,
        "`BadResult`: the result's entry \"itself\" nests deeper than 128 levels, or contains itself",
        RETURNS,
    ),
    python(
        "Python: raises what can't be pickled",
        r#"{"python": "raises_a_local_class"}"#,
        "`Raised`: tasks.raises_a_local_class.<locals>.Local: its own text",
        RAISES_BADLY,
    ),
    python(
        "Python: raises what has no text",
        r#"{"python": "raises_without_text"}"#,
        "`Raised`: tasks.WithoutText: its text can't be had: __str__ raised RuntimeError",
        RAISES_BADLY,
    ),
    row(
        "Rust: writes random bytes into the worker's channel",
        r#"{"rust": "writes_garbage", "inputs": {"sockets": "scheduler", "length": 100, "seed": 1, "framed": false, "stays": true}}"#,
        "`WorkerLost`: the worker process (pid N) was ended: what came over the channel is no message (a packet of N bytes \
         that is no frame)",
        Thread::Apart("not tried: the sockets are the program's own"),
        UNDECODABLE,
    ),
    row(
        "Rust: writes a frame of random bytes into the worker's channel",
        r#"{"rust": "writes_garbage", "inputs": {"sockets": "scheduler", "length": 100, "seed": 1, "framed": true, "stays": true}}"#,
        "`WorkerLost`: the worker process (pid N) was ended: what came over the channel is no message (Serde Deserialization \
         Error)",
        Thread::Apart("not tried: the sockets are the program's own"),
        UNDECODABLE,
    ),
    row(
        "Rust: writes random bytes into the socket to the guardian",
        r#"{"rust": "writes_garbage", "inputs": {"sockets": "guardian", "length": 100, "seed": 1, "framed": false, "stays": true}}"#,
        "`WorkerLost`: the worker process (pid N) was ended: it sent the guardian what is no message",
        Thread::Apart("not tried: the sockets are the program's own"),
        UNDECODABLE,
    ),
    python(
        "Python: writes random bytes into the interpreter's channel",
        r#"{"python": "writes_garbage"}"#,
        "`WorkerLost`: the Python interpreter (pid N) sent the worker what is no reply (it starts with \"\\xa5\\xa5\\xa5\\xa5\"), and was killed",
        UNDECODABLE,
    ),
    row(
        "Rust: `exit(3)`",
        r#"{"rust": "exits", "inputs": {"code": 3}}"#,
        "`WorkerLost`: the worker process (pid N) exited with code 3",
        Thread::Ends("exit code 3"),
        DIES,
    ),
    row(
        "Rust: SIGSEGV",
        r#"{"rust": "segfaults"}"#,
        "`WorkerLost`: the worker process (pid N) was killed by signal 11 (SIGSEGV)",
        Thread::Ends("signal 11"),
        DIES,
    ),
    row("Rust: SIGKILL", r#"{"rust": "is_killed"}"#, KILLED_FROM_OUTSIDE, Thread::Ends("signal 9"), DIES),
    row(
        "Rust: `abort()`",
        r#"{"rust": "aborts"}"#,
        "`WorkerLost`: the worker process (pid N) was killed by signal 6 (SIGABRT)",
        Thread::Ends("signal 6"),
        DIES,
    ),
    row(
        "Rust: overflows its stack",
        r#"{"rust": "overflows_its_stack"}"#,
        "`WorkerLost`: the worker process (pid N) was killed by signal 6 (SIGABRT)",
        Thread::Ends("signal 6"),
        DIES,
    ),
    python(
        "Python: `os._exit(3)`",
        r#"{"python": "exits_at_once"}"#,
        "`WorkerLost`: the Python interpreter (pid N) exited with code 3",
        DIES,
    ),
    python(
        "Python: SIGSEGV",
        r#"{"python": "segfaults"}"#,
        "`WorkerLost`: the Python interpreter (pid N) was killed by signal 11 (SIGSEGV)",
        DIES,
    ),
    python(
        "Python: SIGKILL",
        r#"{"python": "is_killed"}"#,
        "`WorkerLost`: the Python interpreter (pid N) was killed by signal 9 (SIGKILL)",
        DIES,
    ),
    python("Python: `sys.exit(4)`", r#"{"python": "exits"}"#, "`Raised`: SystemExit: 4", EXITS),
    python(
        "Python: raises a bare `BaseException`",
        r#"{"python": "raises_base"}"#,
        "`Raised`: BaseException: a bare one",
        EXITS,
    ),
    python(
        "Python: raises `KeyboardInterrupt`",
        r#"{"python": "raises_keyboard_interrupt"}"#,
        "`Raised`: KeyboardInterrupt",
        KEYBOARD,
    ),
    row(
        "Rust: an input that nests deeper than 128 levels",
        r#"{"rust": "is_fine", "depth": 200}"#,
        "`BadInput`: the inputs can't be sent to a worker: the value nests deeper than 128 levels",
        Thread::Sees("the result"),
        UNSENT,
    ),
    row("Rust: no such task", r#"{"rust": "is_fin"}"#, NO_SUCH_TASK, Thread::Same, UNSENT),
    row(
        "Python: an input that nests deeper than 128 levels",
        r#"{"python": "is_fine", "depth": 200}"#,
        "`BadInput`: the inputs can't be sent to a worker: the value nests deeper than 128 levels",
        Thread::Sees("`BadInput`: the input \"deep\" nests deeper than 128 levels"),
        UNSENT,
    ),
    python(
        "Python: no such function",
        r#"{"python": "is_fin"}"#,
        "`NotFound`: the module \"tasks\" has no function \"is_fin\"; did you mean \"is_fine\"?",
        UNSENT,
    ),
    row(
        "the submitter's own callback panics",
        r#"{"rust": "is_fine", "callback": "panics"}"#,
        "the result",
        Thread::Same,
        "(nd)multiprocessing: the pool is dead, the exit hangs; others: usable",
    ),
    row(
        "Rust: its worker is killed (`kill -9`), while another is busy and tasks wait",
        r#"{"rust": "sleeps_ready", "neighbours": true}"#,
        KILLED_ALONE,
        Thread::Apart("there is no worker process"),
        KILLED,
    ),
    row(
        "Rust: its keeper is killed",
        r#"{"rust": "sleeps_ready", "inputs": {"file": "READY"}, "when": "ready", "then": "kill keeper"}"#,
        "`WorkerLost`: the worker process (pid N) was killed with its keeper, the process that watches it: from outside, or \
         out of memory",
        Thread::Apart("there is no keeper"),
        KILLED,
    ),
    row(
        "command: its keeper is killed",
        r#"{"command": ["sh", "-c", "echo $$ > READY; sleep 1000"], "when": "ready", "then": "kill keeper"}"#,
        "`WorkerLost`: sh (pid N) was killed with its keeper, the process that watches it: from outside, or out of memory",
        Thread::Same,
        NOT_MEASURED,
    ),
    row(
        "Rust: closes its standard output and error",
        r#"{"rust": "closes_its_output"}"#,
        "the result",
        Thread::Apart("these are the program's own"),
        NOT_MEASURED,
    ),
    python(
        "Python: closes its standard output and error",
        r#"{"python": "closes_its_output"}"#,
        "the result",
        NOT_MEASURED,
    ),
    Row {
        floods: true,
        ..row(
            "Rust: prints 100 MB on standard error",
            r#"{"rust": "prints_long_lines", "inputs": {"megabytes": 100}}"#,
            "the result",
            Thread::Same,
            NOT_MEASURED,
        )
    },
    row(
        "Rust: forks, and the child returns from the task too",
        r#"{"rust": "forks_and_returns", "patience_ms": 10000}"#,
        "the result",
        Thread::Same,
        NOT_MEASURED,
    ),
    python(
        "Python: forks, and the child returns from the task too",
        r#"{"python": "forks_and_returns"}"#,
        "the result",
        NOT_MEASURED,
    ),
    row(
        "Rust: leaves a daemon that forked twice, called `setsid` and closed all files",
        r#"{"rust": "leaves_a_daemon"}"#,
        "the result",
        Thread::Apart("the result; the daemon is left behind when the program ends"),
        NOT_MEASURED,
    ),
    row(
        "Rust: ignores SIGINT and SIGTERM, and is interrupted",
        r#"{"rust": "ignores_signals_ready", "inputs": {"file": "READY"}, "when": "ready", "then": "interrupt"}"#,
        ENDED,
        Thread::Apart("no answer: a thread can't be ended"),
        NOT_MEASURED,
    ),
    row(
        "Python: ignores SIGINT and SIGTERM, and is interrupted",
        r#"{"python": "ignores_signals_ready", "inputs": {"file": "READY"}, "when": "ready", "then": "interrupt"}"#,
        ENDED,
        Thread::Apart("no answer: others share its interpreter"),
        NOT_MEASURED,
    ),
    row(
        "command: ignores SIGINT and SIGTERM, and is interrupted",
        r#"{"command": ["sh", "-c", "trap '' INT TERM; echo $$ > READY; while :; do sleep 1; done"], "when": "ready", "then": "interrupt"}"#,
        ENDED,
        Thread::Sees(COMMAND_ENDED),
        NOT_MEASURED,
    ),
    row(
        "Rust: stops itself (SIGSTOP), and is interrupted",
        r#"{"rust": "stops_itself_ready", "inputs": {"file": "READY"}, "when": "stopped", "then": "interrupt"}"#,
        ENDED,
        Thread::Apart("the program is stopped, until somebody continues it"),
        NOT_MEASURED,
    ),
    row(
        "Python: stops itself (SIGSTOP), and is interrupted",
        r#"{"python": "stops_itself_ready", "inputs": {"file": "READY"}, "when": "stopped", "then": "interrupt"}"#,
        ENDED,
        Thread::Apart("no answer: the interpreter of all Python tasks is stopped, which is said"),
        NOT_MEASURED,
    ),
    row(
        "command: stops itself (SIGSTOP), and is interrupted",
        r#"{"command": ["sh", "-c", "echo $$ > READY; kill -STOP $$; sleep 1000"], "when": "stopped", "then": "interrupt"}"#,
        ENDED,
        Thread::Sees(COMMAND_ENDED),
        NOT_MEASURED,
    ),
];

/// The Python tasks of the rows.
pub const PYTHON_TASKS: &str = r#"
import os, signal, stat, sys, threading, time

def is_fine(**inputs):
    return {"fine": True}

def raises():
    raise ValueError("wrong value")

def returns_an_object():
    return {"object": object()}

def returns_a_lock():
    return {"lock": threading.Lock()}

def returns_no_end():
    value = {}
    value["itself"] = value
    return value

def raises_a_local_class():
    class Local(Exception):
        def __reduce__(self):
            raise TypeError("can't be pickled")
    raise Local("its own text")

class WithoutText(Exception):
    def __str__(self):
        raise RuntimeError("no text")

def raises_without_text():
    raise WithoutText

def writes_garbage():
    for number in range(3, 1024):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                os.write(number, b"\xa5" * 100)
        except OSError:
            pass
    return {}

def exits_at_once():
    os._exit(3)

def segfaults():
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(1000)

def is_killed():
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(1000)

def exits():
    sys.exit(4)

def raises_base():
    raise BaseException("a bare one")

def raises_keyboard_interrupt():
    raise KeyboardInterrupt

def closes_its_output():
    sys.stdout.close()
    os.close(1)
    os.close(2)
    return {}

def prints_a_word():
    print("a word")
    return {}

def forks_and_returns():
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return {"who": "parent" if pid else "child"}

def say_ready(file):
    with open(file + ".unfinished", "w") as unfinished:
        unfinished.write(str(os.getpid()))
    os.rename(file + ".unfinished", file)

def ignores_signals_ready(file):
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say_ready(file)
    while True:
        time.sleep(1000)

def stops_itself_ready(file):
    say_ready(file)
    os.kill(os.getpid(), signal.SIGSTOP)
    return {}
"#;
