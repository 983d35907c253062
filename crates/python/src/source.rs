//! The interpreter's side: its source, and how it is started.
//!
//! The source goes through the channel, so that it is in no file and in no list of processes.

use std::ffi::OsString;
use std::os::fd::OwnedFd;

use pushflow_guardian::{Launch, WarmStart, current_process};
use pushflow_model::{PythonOptions, TaskModule};

/// The modules, in the order in which they import each other. One whose name ends in `?` is compiled when it is
/// needed first.
const MODULES: [(&str, &str); 13] = [
    ("_pushflow_mapping?", include_str!("host_source/mapping.py")),
    ("_pushflow_buffers?", include_str!("host_source/buffers.py")),
    ("_pushflow_ewoks?", include_str!("host_source/ewoks.py")),
    ("_pushflow_warm?", include_str!("host_source/warm.py")),
    ("_pushflow_sharing?", include_str!("host_source/sharing.py")),
    ("_pushflow_threads?", include_str!("host_source/threads.py")),
    ("_pushflow_greenlets?", include_str!("host_source/greenlets.py")),
    ("_pushflow_finding", include_str!("host_source/finding.py")),
    ("_pushflow_importing", include_str!("host_source/importing.py")),
    ("_pushflow_outgoing", include_str!("host_source/outgoing.py")),
    ("_pushflow_values", include_str!("host_source/values.py")),
    ("_pushflow_restoring", include_str!("host_source/restoring.py")),
    ("_pushflow_host", include_str!("host_source/host.py")),
];

/// The module that names those which are to be imported; it comes before all others.
const NAMES_MODULE: &str = "_pushflow_modules";

/// How an interpreter serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// One task after the other, for a worker.
    Own,
    /// Several at a time, each in a thread.
    Threads,
    /// Several at a time, each in a greenlet, in an interpreter patched by gevent.
    Greenlets,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Own => "own",
            Mode::Threads => "threads",
            Mode::Greenlets => "greenlets",
        }
    }
}

/// The mode of one that copies are made of.
const WARM: &str = "warm";

/// Between the names and sources of modules.
const SEPARATOR: &str = "\0";

/// Reads the modules from standard input, which is the channel, and runs them.
const LOADER: &str = "\
import os, sys
if sys.version_info < (3, 8):
    sys.exit('Python tasks need Python 3.8 or newer, and this is ' + sys.version.split()[0])
length = int.from_bytes(os.read(0, 8), 'little')
source = b''
while len(source) < length:
    source += os.read(0, length - len(source)) or sys.exit(1)
parts = iter(source.decode().split('\\0'))
later = {}
for name in parts:
    if name[-1] == '?':
        later[name[:-1]] = next(parts)
        continue
    module = sys.modules[name] = type(sys)(name)
    module.ARGUMENTS, module.LATER = sys.argv[1:], later
    exec(compile(next(parts), '<pushflow host>', 'exec'), module.__dict__)
";

/// The variables by which numeric libraries learn how many threads to use: one, since there are as many workers as there is
/// work for, unless the user has said otherwise.
const THREADS: [&str; 3] = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"];

/// What the loader of an interpreter that imports these modules reads first.
pub fn source(modules: &[TaskModule]) -> Vec<u8> {
    let names = names(modules);
    let first = [(NAMES_MODULE, names.as_str())];
    let parts: Vec<&str> = first.iter().chain(&MODULES).flat_map(|(name, source)| [*name, *source]).collect();
    let text = parts.join(SEPARATOR);
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// A module with the names of other modules, which may hold anything: as hexadecimal digits.
fn names(modules: &[TaskModule]) -> String {
    let is_possible = |module: &&TaskModule| !module.module.contains('\0') && !module.function.contains('\0');
    let names: Vec<&str> =
        modules.iter().filter(is_possible).flat_map(|module| [&*module.module, &*module.function]).collect();
    let digits: String = names.join(SEPARATOR).bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("NAMES = bytes.fromhex('{digits}').decode().split('\\0')")
}

/// How to start an interpreter that serves in this mode.
pub(super) fn launch(options: &PythonOptions, mode: Mode, channel: OwnedFd) -> Launch {
    let process = current_process();
    let unset = THREADS.iter().filter(|name| std::env::var_os(name).is_none());
    let environment = unset.map(|name| (OsString::from(name), OsString::from("1"))).collect();
    let warm = (options.warm && mode == Mode::Own).then(|| WarmStart {
        arguments: arguments(options, WARM, "", process.daemonic),
        modules: options.modules.clone(),
        name: process.name.clone(),
    });
    let argv = arguments(options, mode.name(), &process.name, process.daemonic);
    Launch { argv, environment, stdin: Some(channel), warm, ..Launch::default() }
}

fn arguments(options: &PythonOptions, mode: &str, name: &str, daemonic: bool) -> Vec<OsString> {
    let class = if daemonic { "daemonic" } else { "free" };
    let mut arguments = vec![options.interpreter.clone()];
    arguments.extend(["-c", LOADER, mode, name, class].map(OsString::from));
    arguments.extend_from_slice(&options.search_path);
    arguments
}
