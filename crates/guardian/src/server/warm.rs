//! Warm interpreters: Python interpreters that have imported the modules of tasks, and that fork interpreters, each of
//! which is ready in a fraction of the time.
//!
//! A warm interpreter is a child of the guardian and has no keeper. Its side of the protocol is `warm.py` in the source
//! of the Python host. There is one warm interpreter for each [`Recipe`]. The guardian starts it for the first process
//! that it can fork, and keeps it until the end of the scheduler.
//!
//! # The states of a warm interpreter
//! - *warming*: it imports. Orders wait for it, at most [`WARM_LIMIT`].
//! - *warm*: it has said so. An order takes a millisecond or two, at most [`ORDER_LIMIT`].
//! - *ending*: the guardian has killed it, because an order took too long, another recipe needs its place, or the
//!   scheduler has ended.
//!
//! As soon as it is warm, and after each order, it forks a *spare*: an interpreter that does not know yet which process
//! it is to be. The next order takes the spare, and does not wait for two forks.
//!
//! # The states of an order
//! - *open*: the order was sent, or took a spare that is being forked. The keeper that the warm interpreter forks for
//!   it is a child of the guardian that the guardian does not know yet. So the guardian looks for no orphans while a
//!   warm interpreter has open orders: at most for [`ORDER_LIMIT`].
//! - *made*: the keeper has sent its pid on the socket on which it will report. From here on it is a keeper like any
//!   other. The guardian sends the files of the worker to the process. A failure from here on is the loss of that
//!   process.
//! - *given up*: anything else has happened. The guardian starts the process by `exec` instead. A process that was
//!   forked for the order sees the end of its socket and exits, without having had anything of the worker's; or it is
//!   an orphan, and the guardian kills it.
//!
//! So no failure of a warm interpreter fails an attempt. A recipe whose interpreter did not become warm, or did not
//! answer in time, is not tried again. A recipe whose interpreter was killed later is.

mod order;
mod program;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use pushflow_model::TaskModule;
use pushflow_os::SeqPacket;

pub(super) use self::order::Order;
use self::order::Spare;
use self::program::{Recipe, WarmProgram};
use super::client::ProcessKey;
use super::wake::WakeReason;
use crate::messages::{ProcessSource, StartRequest};

/// How long an order waits for the imports of a warm interpreter before the process is started by `exec`.
const WARM_LIMIT: Duration = Duration::from_secs(30);
/// How long a warm interpreter may take for an order, from its answer to the order before on.
const ORDER_LIMIT: Duration = Duration::from_secs(5);
/// How many warm interpreters a guardian may have.
const MAX_PROGRAMS: usize = 4;
/// How many recipes that have failed the guardian remembers.
const MAX_FAILED: usize = 64;

/// The warm interpreters of a guardian, with their orders.
pub(super) struct WarmPrograms {
    /// Makes the source that a warm interpreter runs.
    python_source: fn(&[TaskModule]) -> Vec<u8>,
    programs: Vec<WarmProgram>,
    /// The recipes whose warm interpreter did not become warm or did not answer in time.
    failed: Vec<Recipe>,
    /// Whether the scheduler has ended: no warm interpreter is started any more.
    closed: bool,
    /// The number of orders so far.
    count: u64,
}

/// What a request for a process has led to.
pub(super) enum OrderOutcome {
    /// An open order.
    Open,
    /// An order that took a spare; with the pid of its keeper.
    Made(Box<Order>, Pid),
    /// No order: the guardian is to start the process by `exec`.
    Refused(StartRequest, Vec<OwnedFd>),
}

impl WarmPrograms {
    /// No warm interpreters. `python_source` makes the source that a warm interpreter runs.
    pub(super) fn new(python_source: fn(&[TaskModule]) -> Vec<u8>) -> WarmPrograms {
        WarmPrograms { python_source, programs: Vec::new(), failed: Vec::new(), closed: false, count: 0 }
    }

    /// Orders a process from a warm interpreter, and starts that first if there is none for the recipe.
    pub(super) fn order(&mut self, id: ProcessKey, request: StartRequest, files: Vec<OwnedFd>) -> OrderOutcome {
        let Some(index) = self.program_for(&request, &files) else { return OrderOutcome::Refused(request, files) };
        self.count += 1;
        let program = &mut self.programs[index];
        program.last_order = self.count;
        let limit = if program.is_warm { ORDER_LIMIT } else { WARM_LIMIT };
        let (reports, keeper) = match program.spare.take() {
            Some(Spare { reports, keeper, .. }) => (reports, keeper),
            None => match program.send(&request, &files) {
                Ok(reports) => (reports, None),
                Err(_) => return OrderOutcome::Refused(request, files),
            },
        };
        let order = Order { id, request, files, reports, program: program.pid, due: Instant::now() + limit };
        match keeper {
            Some(keeper) => OrderOutcome::Made(Box::new(order), keeper),
            None => {
                program.orders.push(order);
                OrderOutcome::Open
            }
        }
    }

    /// Has this warm interpreter fork a spare, if it has none and no open order.
    pub(super) fn make_spare(&mut self, pid: Pid) {
        let Some(program) = self.programs.iter_mut().find(|program| program.pid == pid) else { return };
        if program.is_warm && !program.is_ending && program.spare.is_none() && program.orders.is_empty() {
            let spare = program.send_for_spare();
            program.spare =
                spare.ok().map(|reports| Spare { reports, keeper: None, due: Instant::now() + ORDER_LIMIT });
        }
    }

    /// The pid of the keeper of a spare, if the keeper has sent it.
    pub(super) fn read_spare(&mut self, pid: Pid) -> Option<Pid> {
        let program = self.programs.iter_mut().find(|program| program.pid == pid)?;
        match read_keeper_pid(&program.spare.as_ref()?.reports) {
            KeeperAnswer::Pending => {}
            KeeperAnswer::Pid(keeper) => return Some(keeper),
            KeeperAnswer::Closed => program.spare = None,
        }
        None
    }

    /// Records the keeper of a spare.
    pub(super) fn keep_spare(&mut self, pid: Pid, keeper: Pid) {
        let program = self.programs.iter_mut().find(|program| program.pid == pid);
        if let Some(spare) = program.and_then(|program| program.spare.as_mut()) {
            spare.keeper = Some(keeper);
        }
    }

    /// The index of the warm interpreter for this request; starts it if there is none. `None` if the process is to be
    /// started by `exec`.
    fn program_for(&mut self, request: &StartRequest, files: &[OwnedFd]) -> Option<usize> {
        let ProcessSource::Warm(warm) = &request.source else { return None };
        let recipe = Recipe::new(request, warm);
        if self.closed || request.class.is_some() || self.failed.contains(&recipe) {
            return None;
        }
        let same = |program: &WarmProgram| program.recipe == recipe;
        match self.programs.iter().position(same) {
            Some(index) => (!self.programs[index].is_ending).then_some(index),
            None => {
                self.make_room()?;
                let source = (self.python_source)(recipe.modules());
                match WarmProgram::start(recipe.clone(), &source, request, files) {
                    Ok(program) => {
                        self.programs.push(program);
                        Some(self.programs.len() - 1)
                    }
                    Err(_) => {
                        self.note_failed(recipe);
                        None
                    }
                }
            }
        }
    }

    /// Makes room for one more warm interpreter. If there are too many, ends the least recently used one without orders
    /// and returns `None`: there is room only after its end.
    fn make_room(&mut self) -> Option<()> {
        if self.programs.len() < MAX_PROGRAMS {
            return Some(());
        }
        if self.programs.iter().all(|program| !program.is_ending) {
            let unused = self.programs.iter_mut().filter(|program| program.orders.is_empty());
            unused.min_by_key(|program| program.last_order)?.end();
        }
        None
    }

    /// Remembers a recipe that has failed, and forgets the oldest one if there are too many.
    fn note_failed(&mut self, recipe: Recipe) {
        if self.failed.len() == MAX_FAILED {
            self.failed.remove(0);
        }
        self.failed.push(recipe);
    }

    /// The files that the guardian waits for.
    pub(super) fn files(&self) -> impl Iterator<Item = (BorrowedFd<'_>, WakeReason)> {
        self.programs.iter().flat_map(|program| {
            let own = program.socket.iter().map(|socket| (socket.as_fd(), WakeReason::Warm(program.pid)));
            let spare = program.spare.iter().filter(|spare| spare.keeper.is_none());
            let spare = spare.map(|spare| (spare.reports.as_fd(), WakeReason::Spare(program.pid)));
            let orders = program.orders.iter().map(|order| (order.reports.as_fd(), WakeReason::Order(order.id)));
            own.chain(spare).chain(orders)
        })
    }

    /// The time at which the first order is overdue.
    pub(super) fn due(&self) -> Option<Instant> {
        self.programs.iter().filter_map(WarmProgram::due).min()
    }

    /// The warm interpreters that have not said that they are warm, and still can.
    pub(super) fn warming(&self) -> Vec<Pid> {
        let warming = self.programs.iter().filter(|program| !program.is_warm && program.socket.is_some());
        warming.map(|program| program.pid).collect()
    }

    /// All open orders.
    fn orders(&self) -> impl Iterator<Item = &Order> {
        self.programs.iter().flat_map(|program| &program.orders)
    }

    /// Whether a warm interpreter may have forked a keeper that the guardian does not know yet.
    pub(super) fn may_have_made(&self) -> bool {
        self.programs.iter().any(|program| program.is_warm && program.due().is_some())
    }

    /// Whether this is a warm interpreter, or the keeper of a spare.
    pub(super) fn is_one(&self, pid: Pid) -> bool {
        self.programs.iter().any(|program| program.pid == pid) || self.is_keeper_of_spare(pid)
    }

    /// Whether this is the keeper of a spare.
    pub(super) fn is_keeper_of_spare(&self, pid: Pid) -> bool {
        self.programs.iter().any(|program| program.is_keeper_of_spare(pid))
    }

    /// Whether there are no warm interpreters, not even ones that are ending.
    pub(super) fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    /// Whether there is an open order for this process.
    pub(super) fn has_order(&self, id: ProcessKey) -> bool {
        self.orders().any(|order| order.id == id)
    }

    /// Reads the socket of a warm interpreter: its one message says that it is warm.
    pub(super) fn read(&mut self, pid: Pid) {
        let Some(program) = self.programs.iter_mut().find(|program| program.pid == pid) else { return };
        let Some(socket) = &program.socket else { return };
        match socket.receive(false) {
            Ok(Some(_)) => {
                program.is_warm = true;
                let due = Instant::now() + ORDER_LIMIT;
                program.orders.iter_mut().for_each(|order| order.due = due);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // The interpreter is exiting. SIGCHLD follows.
            Ok(None) | Err(_) => program.socket = None,
        }
    }

    /// Reads the socket of an order. If the order is not open any more, returns it with the pid of its keeper, or with
    /// `None` if there is no keeper.
    pub(super) fn read_order(&mut self, id: ProcessKey) -> Option<(Order, Option<Pid>)> {
        let orders = self.programs.iter_mut().map(|program| &mut program.orders);
        let (orders, index) =
            orders.filter_map(|orders| orders.iter().position(|order| order.id == id).map(|i| (orders, i))).next()?;
        let keeper = match read_keeper_pid(&orders[index].reports) {
            KeeperAnswer::Pending => return None,
            KeeperAnswer::Pid(keeper) => Some(keeper),
            KeeperAnswer::Closed => None,
        };
        let order = orders.swap_remove(index);
        // A warm interpreter answers one order after the other, so the time of the others begins now.
        let due = Instant::now() + ORDER_LIMIT;
        orders.iter_mut().for_each(|order| order.due = due);
        Some((order, keeper))
    }

    /// Removes the open orders whose process `is_meant`. Returns their processes.
    pub(super) fn forget(&mut self, is_meant: impl Fn(ProcessKey) -> bool) -> Vec<ProcessKey> {
        let orders = self.programs.iter_mut().map(|program| &mut program.orders);
        orders.flat_map(|orders| orders.extract_if(.., |order| is_meant(order.id)).map(|order| order.id)).collect()
    }

    /// Ends the warm interpreters with an overdue order. Returns all of their orders.
    pub(super) fn give_up(&mut self, now: Instant) -> Vec<Order> {
        let mut given_up = Vec::new();
        let mut overdue = Vec::new();
        for program in &mut self.programs {
            if program.due().is_some_and(|due| due <= now) {
                program.end();
                overdue.push(program.recipe.clone());
                given_up.append(&mut program.orders);
            }
        }
        overdue.into_iter().for_each(|recipe| self.note_failed(recipe));
        given_up
    }

    /// A child of the guardian has been reaped. Returns the orders that it leaves, or `None` if it was neither a warm
    /// interpreter nor the keeper of a spare.
    pub(super) fn ended(&mut self, pid: Pid) -> Option<Vec<Order>> {
        if let Some(program) = self.programs.iter_mut().find(|program| program.is_keeper_of_spare(pid)) {
            program.spare = None;
            return Some(Vec::new());
        }
        let index = self.programs.iter().position(|program| program.pid == pid)?;
        let program = self.programs.swap_remove(index);
        if !program.is_warm && !program.is_ending {
            self.note_failed(program.recipe);
        }
        Some(program.orders)
    }

    /// The scheduler has ended: ends all warm interpreters and returns their orders.
    pub(super) fn close(&mut self) -> Vec<Order> {
        self.closed = true;
        self.programs.iter_mut().for_each(WarmProgram::end);
        self.programs.iter_mut().flat_map(|program| std::mem::take(&mut program.orders)).collect()
    }
}

/// The state of the socket of a keeper that a warm interpreter is to fork.
enum KeeperAnswer {
    /// Nothing was sent yet.
    Pending,
    /// The keeper has sent its pid.
    Pid(Pid),
    /// The socket has ended, or something else was sent.
    Closed,
}

/// Reads the pid of a keeper that a warm interpreter is to fork.
fn read_keeper_pid(reports: &SeqPacket) -> KeeperAnswer {
    match reports.receive(false) {
        Ok(Some(packet)) => {
            let pid = <[u8; 4]>::try_from(packet.bytes).map(i32::from_le_bytes);
            pid.map_or(KeeperAnswer::Closed, |pid| KeeperAnswer::Pid(Pid::from_raw(pid)))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => KeeperAnswer::Pending,
        Ok(None) | Err(_) => KeeperAnswer::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::ClientId;
    use super::*;
    use crate::messages::{ProcessId, WarmStart};

    /// The last of many orders may take longer than the limit for one.
    #[test]
    fn the_time_of_an_order_begins_when_the_one_before_is_answered() {
        let warm = WarmStart { arguments: Vec::new(), modules: Vec::new(), name: String::new() };
        let request =
            StartRequest { source: ProcessSource::Warm(Box::new(warm.clone())), ..StartRequest::of("/bin/true") };
        let id = |process| ProcessKey { client: ClientId::SCHEDULER, process: ProcessId(process) };
        let program = Pid::from_raw(i32::MAX);
        let due = Instant::now();
        let (first, keeper) = SeqPacket::pair().unwrap();
        let (second, _unanswered) = SeqPacket::pair().unwrap();
        let order = |process, reports| {
            let (request, files) = (request.clone(), Vec::new());
            Order { id: id(process), request, files, reports, program, due }
        };
        let mut programs = WarmPrograms::new(|_| Vec::new());
        let orders = vec![order(1, first), order(2, second)];
        programs.programs.push(WarmProgram::pretended(Recipe::new(&request, &warm), program, orders));
        keeper.send(&77i32.to_le_bytes(), &[], true).unwrap();
        assert_eq!(programs.read_order(id(1)).unwrap().1, Some(Pid::from_raw(77)));
        assert!(programs.give_up(due).is_empty());
        assert!(programs.has_order(id(2)));
    }
}
