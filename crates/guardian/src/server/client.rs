//! [`Client`]: the guardian's end of the socket to the scheduler or to a worker.

use std::collections::VecDeque;
use std::io;

use pushflow_model::{Family, ProcessClass};
use pushflow_os::SeqPacket;
use pushflow_protocol::fd_message::FdMessage;

use crate::messages::{FromGuardian, ProcessId};

/// How many messages may wait for a client that does not read. A client with more is taken for ended.
const MAX_WAITING: usize = 65_536;

/// The name of a client. The guardian never uses a name twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ClientId(pub(super) u64);

impl ClientId {
    /// The scheduler. All other clients are workers.
    pub(super) const SCHEDULER: ClientId = ClientId(0);
}

/// The name of a process in the guardian: its client, and the name that the client has given it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ProcessKey {
    pub(super) client: ClientId,
    pub(super) process: ProcessId,
}

/// The guardian's end of the socket to a client, and the messages that the client has not read yet. Never blocks.
pub(super) struct Client {
    pub(super) socket: SeqPacket,
    class: Option<ProcessClass>,
    waiting: VecDeque<FdMessage>,
}

/// The client can't be sent messages any more.
pub(super) struct ClientGone;

impl Client {
    /// The client at the other end of `socket`. A client without a class may start any process.
    pub(super) fn new(socket: SeqPacket, class: Option<ProcessClass>) -> Client {
        Client { socket, class, waiting: VecDeque::new() }
    }

    /// Whether the client may have a child of this class. The rule does not apply to a child without a class.
    pub(super) fn may_start(&self, child: Option<ProcessClass>) -> bool {
        let allows = |family: Family| self.class.is_none_or(|class| class.may_start(family));
        child.is_none_or(|child| allows(child.family))
    }

    /// Whether messages wait until the client reads.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Sends a message, now or when the client reads again.
    pub(super) fn send(&mut self, message: &FromGuardian) -> Result<(), ClientGone> {
        let message = FdMessage::new(message).map_err(|_| ClientGone)?;
        if self.waiting.len() >= MAX_WAITING {
            return Err(ClientGone);
        }
        self.waiting.push_back(message);
        self.send_waiting()
    }

    /// Sends the messages that wait, as long as the socket takes them.
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
