//! One who asks the guardian for processes: the scheduler, or a worker.

use std::collections::VecDeque;
use std::io;

use pushflow_model::{Family, ProcessClass};
use pushflow_os::SeqPacket;
use pushflow_protocol::fd_message::FdMessage;

use crate::messages::{FromGuardian, ProcessId};

/// How many messages may wait for a client that does not read; one that reads nothing for so long is taken for gone.
const MAX_WAITING: usize = 65_536;

/// Names a client; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ClientId(pub(super) u64);

impl ClientId {
    /// The scheduler; every other client is a worker.
    pub(super) const SCHEDULER: ClientId = ClientId(0);
}

/// Names a process: who asked for it, and what that one calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ProcessKey {
    pub(super) client: ClientId,
    pub(super) process: ProcessId,
}

/// The guardian's end towards a client: never blocks.
pub(super) struct Client {
    pub(super) socket: SeqPacket,
    class: Option<ProcessClass>,
    waiting: VecDeque<FdMessage>,
}

/// A client that can't be talked to any more.
pub(super) struct ClientGone;

impl Client {
    /// A client at the other end of the socket; one without a class may start anything.
    pub(super) fn new(socket: SeqPacket, class: Option<ProcessClass>) -> Client {
        Client { socket, class, waiting: VecDeque::new() }
    }

    /// Whether the client may have a child of this class; what has none is no child in the sense of the rule.
    pub(super) fn may_start(&self, child: Option<ProcessClass>) -> bool {
        let allows = |family: Family| self.class.is_none_or(|class| class.may_start(family));
        child.is_none_or(|child| allows(child.family))
    }

    /// Whether it has not read all that there is for it.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Tells it something, now or when it reads again.
    pub(super) fn send(&mut self, message: &FromGuardian) -> Result<(), ClientGone> {
        let message = FdMessage::new(message).map_err(|_| ClientGone)?;
        if self.waiting.len() >= MAX_WAITING {
            return Err(ClientGone);
        }
        self.waiting.push_back(message);
        self.send_waiting()
    }

    /// Sends what waits, as far as the client reads.
    pub(super) fn send_waiting(&mut self) -> Result<(), ClientGone> {
        while let Some(message) = self.waiting.front() {
            match message.send(&self.socket, &[], false) {
                Ok(()) => drop(self.waiting.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(ClientGone),
            }
        }
        Ok(())
    }
}
