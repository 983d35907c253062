//! [`Runner`]: runs attempts of all tasks but Rust tasks, and keeps their Python interpreter.

use std::path::Path;
use std::sync::Arc;

use pushflow_guardian::{Interrupter, Launcher};
use pushflow_model::{Data, ErrorKind, PythonOptions, TaskError, TaskSpec};
use pushflow_protocol::slabs::{GrantSource, SlabStore};
use pushflow_python::{PythonCall, PythonHost, SharedPython};

use crate::{command, script};

/// Runs attempts of all tasks but Rust tasks, one at a time, and keeps the Python interpreter from one to the next.
pub struct Runner {
    launcher: Arc<dyn Launcher>,
    python: InterpreterOwner,
    pub(crate) host: Option<PythonHost>,
    /// The shared memory for the interpreter.
    grants: Arc<dyn GrantSource>,
}

/// Whose interpreter runs the Python tasks.
enum InterpreterOwner {
    /// There is none: Python tasks are refused.
    Nowhere,
    /// The runner's own.
    Own(PythonOptions),
    /// A pool's, which its other runners use too.
    Shared(Arc<SharedPython>),
}

impl InterpreterOwner {
    fn options(&self) -> Option<&PythonOptions> {
        match self {
            InterpreterOwner::Nowhere => None,
            InterpreterOwner::Own(options) => Some(options),
            InterpreterOwner::Shared(shared) => Some(shared.options()),
        }
    }
}

impl Runner {
    /// A runner that starts processes through `launcher`. It has an interpreter of its own with these options; with `None`
    /// it refuses Python tasks.
    pub fn new(launcher: Arc<dyn Launcher>, python: Option<PythonOptions>) -> Self {
        Runner {
            launcher,
            python: python.map_or(InterpreterOwner::Nowhere, InterpreterOwner::Own),
            host: None,
            grants: own_grants(),
        }
    }

    /// A runner whose Python tasks run in an interpreter that other runners use too.
    pub fn sharing(launcher: Arc<dyn Launcher>, python: Arc<SharedPython>) -> Self {
        Runner { launcher, python: InterpreterOwner::Shared(python), host: None, grants: own_grants() }
    }

    /// This runner, with another source of the shared memory for long buffers of values.
    #[must_use]
    pub fn with_grants(self, grants: Arc<dyn GrantSource>) -> Self {
        Runner { grants, ..self }
    }

    /// A runner of a pool that runs in this process. `python` is the interpreter of all runners of the pool; with `None`
    /// the runner refuses Python tasks.
    pub fn of_pool(launcher: Arc<dyn Launcher>, python: Option<&Arc<SharedPython>>) -> Self {
        match python {
            Some(python) => Runner::sharing(launcher, python.clone()),
            None => Runner::new(launcher, None),
        }
    }

    /// Runs one attempt of a task.
    ///
    /// # Errors
    /// The failure of the attempt. A Rust task fails with [`ErrorKind::Unsupported`]: see [`crate::run_rust`].
    pub fn run(&mut self, task: &TaskSpec, inputs: &Data, interrupter: &Interrupter) -> Result<Data, TaskError> {
        match task {
            TaskSpec::Rust { name } => {
                let message =
                    format!("the Rust task {name:?} was given to what runs only programs and Python functions");
                Err(TaskError::new(ErrorKind::Unsupported, message))
            }
            TaskSpec::Command(task) => command::run_command(self.launcher.as_ref(), task, inputs, interrupter),
            TaskSpec::Script(task) => {
                let python = self.python.options().map_or("python3".as_ref(), |python| python.interpreter.as_os_str());
                script::run_script(self.launcher.as_ref(), task, Path::new(python), inputs, interrupter)
            }
            TaskSpec::Python(task) => self.run_python(&PythonCall::Function(task), inputs, interrupter),
            TaskSpec::Ewoks(task) => self.run_python(&PythonCall::Ewoks(task), inputs, interrupter),
        }
    }

    /// Starts the runner's own Python interpreter ahead of the first task, and waits until it runs. Its imports go on
    /// afterwards; the first attempt waits for them. Does nothing where the runner has no interpreter of its own.
    ///
    /// # Errors
    /// When the interpreter can't be started, or the wait was interrupted.
    pub fn start_python(&mut self, interrupter: &Interrupter) -> Result<(), TaskError> {
        let InterpreterOwner::Own(options) = &self.python else { return Ok(()) };
        let host = PythonHost::start(options, self.launcher.as_ref(), self.grants.clone())?;
        self.host.insert(host).make_run(interrupter)
    }

    fn run_python(
        &mut self,
        call: &PythonCall<'_>,
        inputs: &Data,
        interrupter: &Interrupter,
    ) -> Result<Data, TaskError> {
        let host = match (self.host.take_if(|host| host.is_usable()), &self.python) {
            (Some(host), _) => host,
            (None, InterpreterOwner::Own(options)) => {
                PythonHost::start(options, self.launcher.as_ref(), self.grants.clone())?
            }
            (None, InterpreterOwner::Shared(shared)) => {
                let mut host = shared.connect(interrupter)?;
                let ended = host.run(call, inputs, interrupter);
                shared.give_back(host);
                return ended;
            }
            (None, InterpreterOwner::Nowhere) => {
                let message = "this pool was opened without a Python interpreter";
                return Err(TaskError::new(ErrorKind::Unsupported, message));
            }
        };
        self.host.insert(host).run(call, inputs, interrupter)
    }
}

/// A store of shared memory for one runner. It allocates no slab before one is needed.
fn own_grants() -> Arc<dyn GrantSource> {
    Arc::new(SlabStore::default())
}
