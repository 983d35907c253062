//! Warm interpreters: each has imported what tasks need, and makes interpreters that are copies of it, which are ready in
//! a fraction of the time.
//!
//! A warm interpreter is a child of the guardian itself, and no keeper: `warm.py` of the host's source has its side. There
//! is one for each [`Recipe`], started for the first process that can be made of it, and kept until the scheduler is gone.
//!
//! # The states of a warm interpreter
//! - *warming*: it imports. Orders wait for it, at most [`WARM_LIMIT`].
//! - *warm*: it said so. An order takes a millisecond or two, at most [`ORDER_LIMIT`].
//! - *ending*: it was killed, since an order took too long, others need its place, or the scheduler is gone.
//!
//! As soon as one is warm, and after each order, a *spare* is made in advance: a process that waits for what to be. The
//! next order takes it, and so is done without waiting for two forks.
//!
//! # The states of an order
//! - *open*: it was sent, or took a spare that is being made. The keeper that is made for it is a child of the guardian
//!   that the guardian does not know, so that orphans are not looked for while a warm interpreter has open orders: at most
//!   [`ORDER_LIMIT`].
//! - *made*: the keeper has said its pid where it will report. The guardian knows it from here on as it knows any other,
//!   and sends its process the worker's files. What goes wrong from here on is the loss of that process.
//! - *given up*: anything else happened. The process is started by `exec`. Whatever was made of the order sees the end of
//!   its socket, leaves, and had nothing of the worker's; or it is an orphan, and is killed.
//!
//! So nothing that happens to a warm interpreter fails an attempt. One that could not be warmed, or did not answer, is not
//! tried again; one that was killed later is.

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

/// How long a process waits for the imports of a warm interpreter before it is started by `exec`.
const WARM_LIMIT: Duration = Duration::from_secs(30);
/// How long a warm interpreter may take for an order, from the one before on.
const ORDER_LIMIT: Duration = Duration::from_secs(5);
/// How many warm interpreters there may be.
const MAX_PROGRAMS: usize = 4;
/// How many recipes are known of which there can be none.
const MAX_FAILED: usize = 64;

/// All warm interpreters of a guardian, and what was ordered of them.
pub(super) struct WarmPrograms {
    python_source: fn(&[TaskModule]) -> Vec<u8>,
    programs: Vec<WarmProgram>,
    /// Those of which there can be no warm interpreter.
    failed: Vec<Recipe>,
    /// The scheduler is gone.
    closed: bool,
    /// How many orders were given.
    count: u64,
}

/// What became of the wish for a process.
pub(super) enum OrderOutcome {
    /// It is being made.
    Open,
    /// A spare was there: the pid of its keeper.
    Made(Box<Order>, Pid),
    /// It is to be started by `exec`.
    Refused(StartRequest, Vec<OwnedFd>),
}

impl WarmPrograms {
    /// None yet; `python_source` gives what a warm interpreter runs.
    pub(super) fn new(python_source: fn(&[TaskModule]) -> Vec<u8>) -> WarmPrograms {
        WarmPrograms { python_source, programs: Vec::new(), failed: Vec::new(), closed: false, count: 0 }
    }

    /// Orders a process of a warm interpreter, which is started if there is none.
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

    /// Has a process made that nobody has ordered yet, by this warm interpreter.
    pub(super) fn make_spare(&mut self, pid: Pid) {
        let Some(program) = self.programs.iter_mut().find(|program| program.pid == pid) else { return };
        if program.is_warm && !program.is_ending && program.spare.is_none() && program.orders.is_empty() {
            let spare = program.send_for_spare();
            program.spare =
                spare.ok().map(|reports| Spare { reports, keeper: None, due: Instant::now() + ORDER_LIMIT });
        }
    }

    /// The keeper of a spare that is being made may have said its pid.
    pub(super) fn read_spare(&mut self, pid: Pid) -> Option<Pid> {
        let program = self.programs.iter_mut().find(|program| program.pid == pid)?;
        match read_keeper_pid(&program.spare.as_ref()?.reports) {
            KeeperAnswer::Pending => {}
            KeeperAnswer::Pid(keeper) => return Some(keeper),
            KeeperAnswer::Closed => program.spare = None,
        }
        None
    }

    /// The keeper of a spare is this child of the guardian.
    pub(super) fn keep_spare(&mut self, pid: Pid, keeper: Pid) {
        let program = self.programs.iter_mut().find(|program| program.pid == pid);
        if let Some(spare) = program.and_then(|program| program.spare.as_mut()) {
            spare.keeper = Some(keeper);
        }
    }

    /// Where in the list the warm interpreter for this process is.
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

    /// Ends the one that was not needed for the longest time, if there are too many. There is room once it has ended.
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

    fn note_failed(&mut self, recipe: Recipe) {
        if self.failed.len() == MAX_FAILED {
            self.failed.remove(0);
        }
        self.failed.push(recipe);
    }

    /// What to wait for.
    pub(super) fn files(&self) -> impl Iterator<Item = (BorrowedFd<'_>, WakeReason)> {
        self.programs.iter().flat_map(|program| {
            let own = program.socket.iter().map(|socket| (socket.as_fd(), WakeReason::Warm(program.pid)));
            let spare = program.spare.iter().filter(|spare| spare.keeper.is_none());
            let spare = spare.map(|spare| (spare.reports.as_fd(), WakeReason::Spare(program.pid)));
            let orders = program.orders.iter().map(|order| (order.reports.as_fd(), WakeReason::Order(order.id)));
            own.chain(spare).chain(orders)
        })
    }

    /// When an order takes too long.
    pub(super) fn due(&self) -> Option<Instant> {
        self.programs.iter().filter_map(WarmProgram::due).min()
    }

    /// Those that have not said that they are warm, if they still can.
    pub(super) fn warming(&self) -> Vec<Pid> {
        let warming = self.programs.iter().filter(|program| !program.is_warm && program.socket.is_some());
        warming.map(|program| program.pid).collect()
    }

    fn orders(&self) -> impl Iterator<Item = &Order> {
        self.programs.iter().flat_map(|program| &program.orders)
    }

    /// Whether one of them may have made a keeper that is not known yet.
    pub(super) fn may_have_made(&self) -> bool {
        self.programs.iter().any(|program| program.is_warm && program.due().is_some())
    }

    /// Whether this is one of them, or the keeper of a spare.
    pub(super) fn is_one(&self, pid: Pid) -> bool {
        self.programs.iter().any(|program| program.pid == pid) || self.is_keeper_of_spare(pid)
    }

    /// Whether this is a keeper that waits for something to keep.
    pub(super) fn is_keeper_of_spare(&self, pid: Pid) -> bool {
        self.programs.iter().any(|program| program.is_keeper_of_spare(pid))
    }

    /// Whether there is none, not even one that is ending.
    pub(super) fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    pub(super) fn has_order(&self, id: ProcessKey) -> bool {
        self.orders().any(|order| order.id == id)
    }

    /// One of them has said something, which is that it is warm, or has closed its socket.
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
            // It is ending; it is reaped when SIGCHLD says so.
            Ok(None) | Err(_) => program.socket = None,
        }
    }

    /// What became of an order, if something did: the pid of its keeper, or nothing.
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
        // They are answered one after the other, so that the time of the others begins now.
        let due = Instant::now() + ORDER_LIMIT;
        orders.iter_mut().for_each(|order| order.due = due);
        Some((order, keeper))
    }

    /// Forgets what nobody wants any more: the orders that were forgotten.
    pub(super) fn forget(&mut self, is_meant: impl Fn(ProcessKey) -> bool) -> Vec<ProcessKey> {
        let orders = self.programs.iter_mut().map(|program| &mut program.orders);
        orders.flat_map(|orders| orders.extract_if(.., |order| is_meant(order.id)).map(|order| order.id)).collect()
    }

    /// Ends those that take too long for an order, and gives their orders back.
    pub(super) fn give_up(&mut self, now: Instant) -> Vec<Order> {
        let mut given_up = Vec::new();
        let mut late = Vec::new();
        for program in &mut self.programs {
            if program.due().is_some_and(|due| due <= now) {
                program.end();
                late.push(program.recipe.clone());
                given_up.append(&mut program.orders);
            }
        }
        late.into_iter().for_each(|recipe| self.note_failed(recipe));
        given_up
    }

    /// One of them, or the keeper of a spare, has been reaped, if it was one: the orders that it leaves.
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

    /// The scheduler is gone: ends them all, and gives their orders back.
    pub(super) fn close(&mut self) -> Vec<Order> {
        self.closed = true;
        self.programs.iter_mut().for_each(WarmProgram::end);
        self.programs.iter_mut().flat_map(|program| std::mem::take(&mut program.orders)).collect()
    }
}

/// What came from a keeper that is being made.
enum KeeperAnswer {
    Pending,
    Pid(Pid),
    Closed,
}

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

    /// Who has many orders waits for the last one longer than for one.
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
