//! [`NestedPools`]: pools and single processes that a task opens.

use pushflow_execute::TaskContext;
use pushflow_model::{Data, PoolType, TaskSpec};

use crate::error::OpenError;
use crate::options::PoolOptions;
use crate::policy::ProcessKind;
use crate::single_process::Process;
use crate::task_pool::TaskPool;

/// Opens pools and starts processes inside a task, by the task's [`TaskContext`].
pub trait NestedPools {
    /// Opens a pool for tasks that this task submits. Waiting for them ends when this attempt is to end.
    ///
    /// # Errors
    /// Those of [`TaskPool::open`]; `daemonic processes are not allowed to have children` where they are not.
    fn open_pool(&self, pool: PoolType, options: &PoolOptions) -> Result<TaskPool, OpenError>;

    /// Starts a single process for a task of this task. Waiting for the process ends when this attempt is to end.
    ///
    /// # Errors
    /// Those of [`Process::start`]; `daemonic processes are not allowed to have children` where they are not.
    fn start_process(
        &self,
        kind: ProcessKind,
        options: &PoolOptions,
        task: TaskSpec,
        inputs: Data,
    ) -> Result<Process, OpenError>;
}

impl NestedPools for TaskContext {
    fn open_pool(&self, pool: PoolType, options: &PoolOptions) -> Result<TaskPool, OpenError> {
        TaskPool::open_within(pool, options, Some(self.cancellation()))
    }

    fn start_process(
        &self,
        kind: ProcessKind,
        options: &PoolOptions,
        task: TaskSpec,
        inputs: Data,
    ) -> Result<Process, OpenError> {
        Process::start_within(kind, options, task, inputs, Some(self.cancellation()))
    }
}
