//! What the guardian does with warm interpreters and their orders.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::unistd::{Pid, getpid};
use pushflow_os::process_tree;

use super::super::client::{ClientId, Key};
use super::super::process::Process;
use super::super::{Guardian, keeper};
use super::{Order, Ordered, is_of};
use crate::messages::{Launch, StartFailure};

impl Guardian {
    /// Has a process made by a warm interpreter if it may be; else starts it by `exec`.
    pub(in super::super) fn make_or_fork(
        &mut self,
        id: Key,
        launch: Launch,
        files: Vec<OwnedFd>,
    ) -> Option<StartFailure> {
        let (launch, files) = match self.warm.order(id, launch, files) {
            Ordered::Open => return None,
            Ordered::Made(order, keeper) => {
                self.begin(*order, keeper);
                return None;
            }
            Ordered::Refused(launch, files) => (launch, files),
        };
        self.fork_keeper(id, launch, files).err().map(|error| StartFailure::Errno(keeper::errno_of(&error)))
    }

    pub(in super::super) fn hear_warm(&mut self, pid: Pid) {
        self.warm.hear(pid);
        self.warm.make_spare(pid);
    }

    pub(in super::super) fn hear_order(&mut self, id: Key) {
        let Some((order, keeper)) = self.warm.hear_order(id) else { return };
        match keeper.filter(|&keeper| self.is_unknown_child(keeper)) {
            Some(keeper) => self.begin(order, keeper),
            None => self.fork_instead(order),
        }
    }

    pub(in super::super) fn hear_spare(&mut self, program: Pid) {
        // One that is no child of the guardian any more has ended, and hears nothing: so will whoever orders it.
        if let Some(keeper) = self.warm.hear_spare(program).filter(|&keeper| self.is_unknown_child(keeper)) {
            self.warm.keep_spare(program, keeper);
        }
    }

    /// Lets a process begin that was made; the next one can be made meanwhile.
    fn begin(&mut self, order: Order, keeper: Pid) {
        if order.hand_over().is_err() {
            return self.fork_instead(order);
        }
        let Order { id, launch, reports, program, .. } = order;
        self.by_keeper.insert(keeper, id);
        self.processes.insert(id, Process::new(keeper, reports, Vec::new(), launch.on_orphan, None));
        self.warm.make_spare(program);
    }

    /// Whether this is a process that nobody has reaped, and that no other name stands for.
    fn is_unknown_child(&self, pid: Pid) -> bool {
        let is_child = process_tree::is_child(getpid(), pid).unwrap_or(false);
        is_child && !self.by_keeper.contains_key(&pid) && !self.warm.is_one(pid)
    }

    /// Starts what was ordered by `exec`.
    fn fork_instead(&mut self, order: Order) {
        let Order { id, launch, files, reports, .. } = order;
        drop(reports);
        if let Err(error) = self.fork_keeper(id, launch, files) {
            self.refuse(id, StartFailure::Errno(keeper::errno_of(&error)));
        }
    }

    /// Whether it was not made yet: then it will not be.
    pub(in super::super) fn cancel_order(&mut self, id: Key) -> bool {
        let is_open = !self.warm.forget(|other| other == id).is_empty();
        if is_open {
            self.refuse(id, StartFailure::Errno(Errno::ECANCELED as i32));
        }
        is_open
    }

    /// Nobody is left to be told.
    pub(in super::super) fn forget_orders_of(&mut self, client: ClientId) {
        self.warm.forget(is_of(client));
    }

    pub(in super::super) fn close_warm(&mut self) {
        let left = self.warm.close();
        left.into_iter().for_each(|order| self.fork_instead(order));
    }

    pub(in super::super) fn give_up_orders(&mut self) {
        let given_up = self.warm.give_up(Instant::now());
        if !given_up.is_empty() {
            self.strays.look_again();
        }
        given_up.into_iter().for_each(|order| self.fork_instead(order));
    }

    /// One of the guardian's children has been reaped: whether it was a warm interpreter.
    pub(in super::super) fn warm_ended(&mut self, pid: Pid) -> bool {
        let Some(left) = self.warm.ended(pid) else { return false };
        // What its imports had started is the guardian's now, and so is a keeper that it has just made.
        self.strays.look_again();
        left.into_iter().for_each(|order| self.fork_instead(order));
        true
    }
}

/// The keeper role: keeps a process that this program's own image had forked before it was executed.
///
/// # Errors
/// When this was not started so.
pub fn keep_adopted(arguments: impl Iterator<Item = std::ffi::OsString>) -> io::Result<()> {
    let numbers: Vec<i32> =
        arguments.skip(1).filter_map(|number| number.to_str().and_then(|number| number.parse().ok())).collect();
    match numbers[..] {
        [guardian, process] => keeper::keep_adopted(Pid::from_raw(guardian), process),
        _ => Err(io::Error::other("it was not told what to keep")),
    }
}
