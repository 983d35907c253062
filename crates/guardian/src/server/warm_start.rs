//! How the guardian starts processes by warm interpreters, and by `exec` where a warm interpreter fails.

use std::os::fd::OwnedFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::unistd::{Pid, getpid};
use pushflow_os::process_tree;

use super::client::{ClientId, ProcessKey};
use super::process::Process;
use super::warm::{Order, OrderOutcome};
use super::{Guardian, keeper};
use crate::messages::{StartFailure, StartRequest};

impl Guardian {
    /// Starts a process: by a warm interpreter if the request allows it, else by a keeper that the guardian forks.
    /// Returns why the process can't be started.
    pub(super) fn make_or_fork(
        &mut self,
        id: ProcessKey,
        request: StartRequest,
        files: Vec<OwnedFd>,
    ) -> Option<StartFailure> {
        let (request, files) = match self.warm.order(id, request, files) {
            OrderOutcome::Open => return None,
            OrderOutcome::Made(order, keeper) => {
                self.begin(*order, keeper);
                return None;
            }
            OrderOutcome::Refused(request, files) => (request, files),
        };
        self.fork_keeper(id, request, files).err().map(|error| StartFailure::Errno(keeper::errno_of(&error)))
    }

    /// Reads the socket of a warm interpreter.
    pub(super) fn read_warm(&mut self, pid: Pid) {
        self.warm.read(pid);
        self.warm.make_spare(pid);
    }

    /// Reads the socket of an order.
    pub(super) fn read_order(&mut self, id: ProcessKey) {
        let Some((order, keeper)) = self.warm.read_order(id) else { return };
        match keeper.filter(|&keeper| self.is_unknown_child(keeper)) {
            Some(keeper) => self.begin(order, keeper),
            None => self.fork_instead(order),
        }
    }

    /// Reads the socket of a spare.
    pub(super) fn read_spare(&mut self, program: Pid) {
        // A keeper that is no child of the guardian any more has ended. The order that takes this spare sees the end of
        // its socket.
        if let Some(keeper) = self.warm.read_spare(program).filter(|&keeper| self.is_unknown_child(keeper)) {
            self.warm.keep_spare(program, keeper);
        }
    }

    /// Lets a forked process begin, and has the warm interpreter fork the next spare meanwhile.
    fn begin(&mut self, order: Order, keeper: Pid) {
        if order.hand_over().is_err() {
            return self.fork_instead(order);
        }
        let Order { id, request, reports, program, .. } = order;
        self.by_keeper.insert(keeper, id);
        self.processes.insert(id, Process::new(keeper, reports, Vec::new(), request.on_scheduler_exit, None));
        self.warm.make_spare(program);
    }

    /// Whether this is a child of the guardian that has not been reaped, and that is not known under another name. A
    /// pid that a keeper sends is not trusted without this check: signals will be sent by it.
    fn is_unknown_child(&self, pid: Pid) -> bool {
        let is_child = process_tree::is_child(getpid(), pid).unwrap_or(false);
        is_child && !self.by_keeper.contains_key(&pid) && !self.warm.is_one(pid)
    }

    /// Starts the process of an order that was given up, by `exec`.
    fn fork_instead(&mut self, order: Order) {
        let Order { id, request, files, reports, .. } = order;
        drop(reports);
        if let Err(error) = self.fork_keeper(id, request, files) {
            self.refuse(id, StartFailure::Errno(keeper::errno_of(&error)));
        }
    }

    /// Cancels the order for a process. Returns whether it was still open.
    pub(super) fn cancel_order(&mut self, id: ProcessKey) -> bool {
        let is_open = !self.warm.forget(|other| other == id).is_empty();
        if is_open {
            self.refuse(id, StartFailure::Errno(Errno::ECANCELED as i32));
        }
        is_open
    }

    /// Removes the orders of a client that has ended.
    pub(super) fn forget_orders_of(&mut self, client: ClientId) {
        self.warm.forget(|order| order.client == client);
    }

    /// Ends all warm interpreters after the end of the scheduler. Orders of workers are started by `exec`.
    pub(super) fn close_warm(&mut self) {
        let left = self.warm.close();
        left.into_iter().for_each(|order| self.fork_instead(order));
    }

    /// Gives up overdue orders, and ends their warm interpreters.
    pub(super) fn give_up_orders(&mut self) {
        let given_up = self.warm.give_up(Instant::now());
        if !given_up.is_empty() {
            self.orphans.expect_more();
        }
        given_up.into_iter().for_each(|order| self.fork_instead(order));
    }

    /// A child of the guardian has been reaped. Returns whether it was a warm interpreter, or the keeper of a spare.
    pub(super) fn warm_ended(&mut self, pid: Pid) -> bool {
        let Some(left) = self.warm.ended(pid) else { return false };
        // The processes that its imports have started are children of the guardian now. So is a keeper that it has just
        // forked.
        self.orphans.expect_more();
        left.into_iter().for_each(|order| self.fork_instead(order));
        true
    }
}
