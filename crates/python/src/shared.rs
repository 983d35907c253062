//! [`SharedPython`]: one Python interpreter for all attempts of a pool that runs in this process. A pool of threads has a
//! plain interpreter, a pool of green tasks one that gevent has patched.
//!
//! # Protocol
//! A thread of the interpreter receives orders over a socket of its own. An attempt that finds no idle channel makes one
//! and sends one end with the order `C`. A server in the interpreter, which is a thread or a greenlet, serves that channel
//! from then on, exactly as the interpreter of a worker does. After the attempt the channel is idle until the next attempt
//! takes it, so there are as many channels as there were attempts at a time. The order `I` interrupts the task of a
//! server. In a thread, CPython raises `KeyboardInterrupt` between two of its instructions, so a blocking call outside of
//! Python ends first. In a greenlet the exception is raised where the greenlet waits, or, by a signal, where it runs.
//!
//! A thread of this process sends the orders: an interpreter that a task holds does not read, and green tasks must not
//! wait for it. Another thread waits for the end of the interpreter and then shuts all channels down. So an attempt that
//! waits for a reply sees the end also where a process that was forked meanwhile holds copies of the channels.
//!
//! # States
//! Either there is no interpreter, or one attempt starts it and the others wait, or it runs. No attempt waits with the lock
//! held: on the thread of green tasks, that wait would never end.
//!
//! # Failures
//! A task that ends the interpreter fails the attempts of all its servers; the next attempt starts another interpreter. A
//! task that does not react to its interrupt is not killed, since the kill would hit the other servers too; the process
//! pools can kill such tasks. When the pool is dropped, the interpreter is killed.

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

/// The interpreter of a pool: one at a time, started at first use and again after its end.
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
    /// The servers that run no attempt.
    idle: Vec<PythonHost>,
}

#[derive(Default)]
enum SharedInterpreter {
    #[default]
    Absent,
    Starting,
    Running(Arc<SharedProcess>),
}

/// The interpreter that an attempt finds.
enum InterpreterLookup {
    Running(Arc<SharedProcess>),
    /// There is none: the attempt starts it. Holds the interpreter that has ended, if there was one.
    Missing(SharedInterpreter),
    /// The attempt was interrupted while another attempt started the interpreter.
    Interrupted,
}

impl SharedPython {
    /// An interpreter that `launcher` starts at the first task. In the plain environment it serves threads; in the green
    /// environment gevent patches it, and it serves green tasks.
    pub fn new(options: PythonOptions, environment: Environment, launcher: Arc<dyn Launcher>) -> Self {
        let mode = match environment {
            Environment::Plain => ServingMode::Threads,
            Environment::Green => ServingMode::Greenlets,
        };
        let grants = Arc::new(SlabStore::default());
        SharedPython { options, mode, launcher, grants, state: Monitor::default() }
    }

    /// The options of the interpreter.
    pub fn options(&self) -> &PythonOptions {
        &self.options
    }

    /// Starts the interpreter ahead of the first task, and waits until it runs; it may still import modules then.
    ///
    /// # Errors
    /// When the interpreter can't be used, or the wait was interrupted.
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

    /// How many out-of-band buffers the interpreter has on lease.
    pub fn leased_buffers(&self) -> usize {
        self.state.look(|state| match &state.current {
            SharedInterpreter::Running(interpreter) => interpreter.buffers.leased_buffers(),
            _ => 0,
        })
    }

    /// A host over an idle server of the interpreter, or over a new one.
    ///
    /// # Errors
    /// When the interpreter can't be started or reached, or when `interrupter` was used while another attempt started it.
    pub fn connect(&self, interrupter: &Interrupter) -> Result<PythonHost, TaskError> {
        // Dropped without the lock: the drop of the last host of an interpreter waits for the end of its process.
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

    /// Takes back the host of an attempt that has ended, for the next attempt.
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

/// Held by the attempt that starts the interpreter. If the start fails or panics, the drop lets another attempt try.
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
