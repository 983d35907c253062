//! The exit of the process that has the pool: the column "at exit" of the policy table.

use std::time::Instant;

use nix::sys::signal::Signal;
use pushflow_model::{ErrorKind, TaskError};

use super::message::Action;
use super::worker::Interruption;
use super::{Dispatcher, ExitMode};

impl Dispatcher {
    /// The process exits: attempts that have not started are dropped; those that have are waited for, interrupted,
    /// terminated or ended.
    pub(super) fn exit(&mut self, terminate: bool, now: Instant, actions: &mut Vec<Action>) {
        self.closing = true;
        if !self.rules.wait_on_exit && !terminate {
            return self.abort(now, actions);
        }
        self.exit_mode = if terminate { ExitMode::Terminate } else { ExitMode::Wait };
        for (&id, worker) in &mut self.workers {
            let not_begun = worker.ask_all_back();
            if !not_begun.is_empty() {
                actions.push(Action::AskBack { worker: id, attempts: not_begun });
            }
        }
    }

    /// Sends SIGTERM to every worker. If the worker ends, all its attempts fail; if not, they go on.
    pub(super) fn terminate(&mut self, actions: &mut Vec<Action>) {
        for (&id, worker) in &mut self.workers {
            for assigned in
                worker.assigned.iter_mut().filter(|assigned| matches!(assigned.interruption, Interruption::None))
            {
                assigned.interruption = Interruption::TermSentByUser;
            }
            actions.push(Action::Signal(id, Signal::SIGTERM));
        }
    }

    /// While the process exits, no attempt is started. An attempt that a worker starts nevertheless, because the
    /// message that asks it back arrives too late, is treated as if it had run before.
    pub(super) fn continue_exit(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.exit_mode == ExitMode::No {
            return;
        }
        let message = "the process that had the pool exited before the attempt started";
        self.fail_queue(&TaskError::new(ErrorKind::Stopped, message), actions);
        if self.exit_mode == ExitMode::Wait && self.rules.interrupt_on_exit {
            self.interrupt_running(now, actions);
        }
        if self.exit_mode == ExitMode::Terminate {
            for (&id, worker) in &mut self.workers {
                if let Some(assigned) = worker.assigned.front_mut()
                    && !matches!(assigned.interruption, Interruption::TermSentAtExit(_) | Interruption::EndRequested)
                {
                    assigned.interruption = Interruption::TermSentAtExit(now);
                    actions.push(Action::Signal(id, Signal::SIGTERM));
                }
            }
        }
    }
}
