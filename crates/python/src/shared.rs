//! [`SharedPython`]: one Python interpreter for all attempts of a pool that runs in this process: for threads, or, patched
//! by gevent, for green tasks.
//!
//! # Protocol
//! A thread of the interpreter hears orders over a socket of its own. An attempt that finds no channel at rest makes one and
//! sends one end with the order `C`; a server in the interpreter, which is a thread or a greenlet, serves that channel from
//! then on, exactly as an interpreter of a worker's own does. After the attempt the channel rests until the next one takes
//! it: there are as many as there were attempts at a time. The order `I` interrupts what a server runs. In a thread, CPython
//! raises `KeyboardInterrupt` between two of its instructions, so what blocks outside of Python ends first. In a greenlet it
//! is raised where that waits, or, by a signal, where it is.
//!
//! Orders are sent by a thread, since an interpreter that is held does not read, and green tasks must not wait for it.
//! Another thread waits for the end of the interpreter and then shuts all channels down: so whoever waits for an answer
//! hears of the end, also where something that was forked meanwhile holds copies of the channels.
//!
//! # States
//! There is no interpreter, or one is being started by one attempt for which others wait, or it runs. Nobody waits with the
//! lock: on the thread of green tasks, that would be for ever.
//!
//! # What dies with what
//! A task that ends the interpreter takes the attempts of all its servers along; the next attempt starts another one. A task
//! that does not react to its interrupt is not killed, since its neighbours would be too: that is what the process pools are
//! for. When the pool is dropped, the interpreter is killed.

use std::path::Path;
use std::sync::Arc;

use nix::sys::signal::Signal;
use pushflow_green::{Environment, Monitor};
use pushflow_guardian::{Interrupter, Launcher};
use pushflow_model::{PythonOptions, TaskError};
use pushflow_protocol::slabs::{GrantSource, SlabStore};

use crate::failures::{interrupted_before_start, unreachable};
use crate::host::PythonHost;
use crate::shared_process::SharedProcess;
use crate::source::ServingMode;

/// One interpreter at a time, started at first use and again after its end.
pub struct SharedPython {
    options: PythonOptions,
    mode: ServingMode,
    launcher: Arc<dyn Launcher>,
    grants: Arc<dyn GrantSource>,
    state: Monitor<SharedPythonState>,
}

#[derive(Default)]
struct SharedPythonState {
    current: SharedInterpreter,
    /// What rests until the next attempt.
    idle: Vec<PythonHost>,
}

#[derive(Default)]
enum SharedInterpreter {
    #[default]
    Absent,
    Starting,
    Running(Arc<SharedProcess>),
}

/// What an attempt finds that needs an interpreter.
enum InterpreterLookup {
    Running(Arc<SharedProcess>),
    /// It is to start one; here is the one that has ended.
    Missing(SharedInterpreter),
    /// The attempt was interrupted while another one started it.
    Interrupted,
}

impl SharedPython {
    /// An interpreter that `launcher` starts when the first task comes: for threads in the plain environment, else one
    /// that is patched by gevent, for green tasks.
    pub fn new(options: PythonOptions, environment: Environment, launcher: Arc<dyn Launcher>) -> Self {
        let mode = match environment {
            Environment::Plain => ServingMode::Threads,
            Environment::Green => ServingMode::Greenlets,
        };
        let grants = Arc::new(SlabStore::default());
        SharedPython { options, mode, launcher, grants, state: Monitor::default() }
    }

    /// Which interpreter it is.
    pub fn options(&self) -> &PythonOptions {
        &self.options
    }

    /// Starts the interpreter ahead of the first task, and waits until it runs, whatever it still has to import.
    ///
    /// # Errors
    /// When it is none that can be used, or the wait was interrupted.
    pub fn start(&self, interrupter: &Interrupter) -> Result<(), TaskError> {
        let mut host = self.connect(interrupter)?;
        let runs = host.make_run(interrupter);
        self.give_back(host);
        runs
    }

    /// Kills the interpreter: every task in it ends.
    pub fn kill(&self) {
        let current = self.state.change(|state| std::mem::take(&mut state.current));
        if let SharedInterpreter::Running(interpreter) = current
            && let Err(error) = interpreter.child.signal(Signal::SIGKILL)
        {
            tracing::debug!(pid = interpreter.child.pid(), %error, "could not kill the Python interpreter");
        }
    }

    /// How many parts of values the interpreter has mapped, as far as is known.
    pub fn leased_buffers(&self) -> usize {
        self.state.look(|state| match &state.current {
            SharedInterpreter::Running(interpreter) => interpreter.buffers.leased_buffers(),
            _ => 0,
        })
    }

    /// A server of the interpreter: one that rests, or another one.
    pub fn connect(&self, interrupter: &Interrupter) -> Result<PythonHost, TaskError> {
        // What is dropped here may be the last of an interpreter that has ended, for which that waits: not with the lock.
        while let Some(mut host) = self.state.look(|state| state.idle.pop()) {
            if host.is_usable() {
                return Ok(host);
            }
        }
        let interpreter = self.interpreter(interrupter)?;
        let connect = || {
            let (stream, server) = interpreter.connect()?;
            let (process, buffers) = (interpreter.child.clone(), interpreter.buffers.clone());
            PythonHost::of_server(stream, server, process, Path::new(&self.options.interpreter), buffers)
        };
        connect().map_err(|error| unreachable(&error))
    }

    /// The attempt has ended.
    pub fn give_back(&self, host: PythonHost) {
        if !host.is_lost() {
            self.state.look(|state| state.idle.push(host));
        }
    }

    fn interpreter(&self, interrupter: &Interrupter) -> Result<Arc<SharedProcess>, TaskError> {
        let found = self.state.wait(None, |state| match &state.current {
            SharedInterpreter::Running(interpreter) if interpreter.runs() => {
                Some(InterpreterLookup::Running(interpreter.clone()))
            }
            SharedInterpreter::Starting if interrupter.is_interrupted() => Some(InterpreterLookup::Interrupted),
            SharedInterpreter::Starting => None,
            SharedInterpreter::Absent | SharedInterpreter::Running(_) => {
                Some(InterpreterLookup::Missing(std::mem::replace(&mut state.current, SharedInterpreter::Starting)))
            }
        });
        match found.expect("a wait without a deadline finds something") {
            InterpreterLookup::Running(interpreter) => return Ok(interpreter),
            InterpreterLookup::Interrupted => return Err(interrupted_before_start(None)),
            InterpreterLookup::Missing(ended) => drop(ended),
        }
        let starting = StartGuard(&self.state);
        let interpreter = SharedProcess::start(&self.options, self.mode, self.launcher.as_ref(), self.grants.clone())?;
        starting.0.change(|state| state.current = SharedInterpreter::Running(interpreter.clone()));
        Ok(interpreter)
    }
}

/// Whoever starts an interpreter: if that fails, however it does, somebody else may try.
struct StartGuard<'a>(&'a Monitor<SharedPythonState>);

impl Drop for StartGuard<'_> {
    fn drop(&mut self) {
        self.0.change(|state| {
            if matches!(state.current, SharedInterpreter::Starting) {
                state.current = SharedInterpreter::Absent;
            }
        });
    }
}
