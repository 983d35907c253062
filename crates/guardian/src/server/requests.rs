//! The requests of clients, and what happens to their processes when a client ends.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use pushflow_os::SeqPacket;
use pushflow_protocol::GUARDIAN_SOCKET;
use pushflow_protocol::fd_message::{self, Received};

use super::client::{Client, ClientId, ProcessKey};
use super::process::Process;
use super::{Guardian, keeper};
use crate::messages::{FromGuardian, StartFailure, StartRequest, ToGuardian};

/// How many messages of one client the guardian handles before it looks at its other sockets again.
const MESSAGES_AT_ONCE: usize = 64;

impl Guardian {
    /// Sends the messages that wait for a client, and handles its requests.
    pub(super) fn read_client(&mut self, id: ClientId) {
        for _ in 0..MESSAGES_AT_ONCE {
            let Some(client) = self.clients.get_mut(&id) else { return };
            if client.send_waiting().is_err() {
                return self.close_client(id);
            }
            match fd_message::receive_or_beginning(&client.socket, false) {
                Ok(Some(Received::Whole(message, files))) => self.handle(id, message, files),
                Ok(Some(Received::Beginning(beginning))) => self.refuse_incomplete(id, &beginning),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(None) => return self.close_client(id),
                Err(_) => return self.reject_client(id),
            }
        }
    }

    /// Handles one request.
    fn handle(&mut self, client: ClientId, message: ToGuardian, files: Vec<OwnedFd>) {
        match message {
            ToGuardian::Watch => {}
            ToGuardian::Start { process, request } => self.start(ProcessKey { client, process }, request, files),
            ToGuardian::Signal { process, signal } => {
                // A process that is still an order gets no signal: no client knows yet that it has started.
                let process = self.processes.get_mut(&ProcessKey { client, process });
                if let (Some(process), Ok(signal)) = (process, Signal::try_from(signal)) {
                    process.signal_group(signal);
                }
            }
            ToGuardian::End { process } => {
                let id = ProcessKey { client, process };
                if !self.cancel_order(id) {
                    self.end(id);
                }
            }
        }
    }

    /// Refuses a request whose files are missing because the guardian may not open more. Only `Start` has files.
    fn refuse_incomplete(&mut self, client: ClientId, beginning: &[u8]) {
        match ToGuardian::process_to_start(beginning) {
            Some(process) => self.refuse(ProcessKey { client, process }, StartFailure::Errno(Errno::EMFILE as i32)),
            None => self.reject_client(client),
        }
    }

    /// Starts a process, or refuses it.
    fn start(&mut self, id: ProcessKey, request: StartRequest, files: Vec<OwnedFd>) {
        let Some(client) = self.clients.get(&id.client) else { return };
        if self.processes.contains_key(&id) || self.warm.has_order(id) {
            // The name is used twice, which no client does.
            return self.reject_client(id.client);
        }
        let refused = match client.may_start(request.class) {
            true => self.make_or_fork(id, request, files),
            false => Some(StartFailure::Daemonic),
        };
        if let Some(reason) = refused {
            self.refuse(id, reason);
        }
    }

    /// Forks a keeper that starts the process. A worker gets a socket to the guardian and becomes a client.
    pub(super) fn fork_keeper(
        &mut self,
        id: ProcessKey,
        mut request: StartRequest,
        mut files: Vec<OwnedFd>,
    ) -> io::Result<()> {
        let drains = files.split_off(request.numbers.len().min(files.len()));
        let own_client = match request.class {
            Some(class) => {
                let (ours, theirs) = SeqPacket::pair()?;
                files.push(theirs.into_fd());
                request.numbers.push(GUARDIAN_SOCKET);
                Some(Client::new(ours, Some(class)))
            }
            None => None,
        };
        let (pid, reports) = keeper::fork(&request, &files, &self.forked_worker_setup)?;
        let own_client = own_client.map(|client| {
            let client_id = ClientId(self.next_client);
            self.next_client += 1;
            self.clients.insert(client_id, client);
            self.workers.insert(client_id, id);
            client_id
        });
        self.by_keeper.insert(pid, id);
        self.processes.insert(id, Process::new(pid, reports, drains, request.on_scheduler_exit, own_client));
        Ok(())
    }

    /// Removes a client that has ended. The processes that it had asked for are ended: at once if it was a worker, by
    /// the rule of each ([`OnSchedulerExit`](crate::OnSchedulerExit)) if it was the scheduler.
    pub(super) fn close_client(&mut self, id: ClientId) {
        let Some(client) = self.clients.remove(&id) else { return };
        self.forget_orders_of(id);
        if id == ClientId::SCHEDULER {
            let waits_for_our_end = self.handle_last_requests(&client);
            self.scheduler = None;
            let now = Instant::now();
            let owned = self.processes.iter_mut().filter(|(key, _)| key.client == id);
            owned.for_each(|(_, process)| process.scheduler_exited(now));
            self.close_warm();
            // Otherwise the socket is closed here, by which the scheduler learns that it has no guardian any more.
            self.former_scheduler = waits_for_our_end.then_some(client);
        } else {
            self.owned_by(id).into_iter().for_each(|owned| self.end(owned));
        }
    }

    /// Ends a client that has sent bytes that are no request. A task may have written into the socket of its worker,
    /// which can't be used any more.
    pub(super) fn reject_client(&mut self, id: ClientId) {
        if let Some(&worker) = self.workers.get(&id) {
            self.send(worker.client, &FromGuardian::Garbled { process: worker.process });
            self.end(worker);
        }
        self.close_client(id);
    }

    /// Tells a client that a process is not started.
    pub(super) fn refuse(&mut self, id: ProcessKey, reason: StartFailure) {
        self.send(id.client, &FromGuardian::NotStarted { process: id.process, reason });
        self.send(id.client, &FromGuardian::Gone { process: id.process });
    }

    /// Handles the requests that the scheduler sent before its end. Those for signals and ends still apply; nothing is
    /// started any more. Returns whether the socket has ended without an error, as it does when the scheduler waits for
    /// the exit of the guardian.
    fn handle_last_requests(&mut self, scheduler: &Client) -> bool {
        loop {
            match fd_message::receive_or_beginning(&scheduler.socket, false) {
                Ok(Some(Received::Whole(message @ (ToGuardian::Signal { .. } | ToGuardian::End { .. }), files))) => {
                    self.handle(ClientId::SCHEDULER, message, files);
                }
                // A start, with all of its files or not.
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    /// The processes that a client has asked for.
    pub(super) fn owned_by(&self, client: ClientId) -> Vec<ProcessKey> {
        self.processes.keys().copied().filter(|key| key.client == client).collect()
    }

    /// Sends a message to a client, if it has not ended. A client that can't be sent to is taken for ended.
    pub(super) fn send(&mut self, id: ClientId, message: &FromGuardian) {
        if let Some(client) = self.clients.get_mut(&id)
            && client.send(message).is_err()
        {
            self.close_client(id);
        }
    }
}
