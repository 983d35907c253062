//! How the scheduler and a worker get their channels: [`WorkerServer`] and [`connect`].

use std::io;
use std::sync::{Arc, Mutex};

use ipc_channel::ipc::{IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcSender, bytes_channel};
use serde::{Deserialize, Serialize};

use super::error::{TransportError, receive_error};
use super::frames::FrameReader;
use super::scheduler_side::{FromWorkerReceiver, ToWorkerSender};
use super::worker_side::{FromWorkerSender, ToWorkerReceiver};
use crate::WorkerSettings;
use crate::slabs::SchedulerSide;

/// The scheduler's first message to a worker, the only one with handles.
#[derive(Serialize, Deserialize)]
struct Bootstrap {
    receiver: IpcBytesReceiver,
    sender: IpcBytesSender,
    settings: WorkerSettings,
}

/// Connects to a worker's one-shot server and hands over the ends of its channels. `slabs` is the memory that the
/// worker is lent and granted.
///
/// # Errors
/// When the worker has ended.
pub fn connect(
    server: String,
    settings: WorkerSettings,
    slabs: SchedulerSide,
) -> Result<(ToWorkerSender, FromWorkerReceiver), TransportError> {
    let (sender, worker_receiver) = bytes_channel()?;
    let (worker_sender, receiver) = bytes_channel()?;
    let bootstrap = Bootstrap { receiver: worker_receiver, sender: worker_sender, settings };
    let frames = FrameReader::of_worker(receiver)?;
    // This drops the copies of the worker's ends that `bootstrap` holds. With a copy open in this process, the
    // scheduler would not see the worker's death.
    IpcSender::connect(server)?.send(bootstrap).map_err(receive_error)?;
    let slabs = Arc::new(Mutex::new(slabs));
    Ok((ToWorkerSender::new(sender, slabs.clone()), FromWorkerReceiver::new(frames, slabs)))
}

/// The one-shot server of a worker, to which the scheduler connects.
pub struct WorkerServer {
    server: IpcOneShotServer<Bootstrap>,
    name: String,
}

impl WorkerServer {
    /// Opens a server in the folder that `TMPDIR` names.
    ///
    /// # Errors
    /// When the folder can't be written to, or its path is too long for a socket (107 bytes).
    pub fn open() -> io::Result<WorkerServer> {
        let (server, name) = IpcOneShotServer::new()?;
        Ok(WorkerServer { server, name })
    }

    /// The name by which the scheduler connects.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits for the scheduler to connect.
    ///
    /// # Errors
    /// When the process that connects sends another message.
    pub fn accept(self) -> Result<(FromWorkerSender, ToWorkerReceiver, WorkerSettings), TransportError> {
        let (_, bootstrap) = self.server.accept().map_err(receive_error)?;
        let receiver = ToWorkerReceiver::new(FrameReader::of_scheduler(bootstrap.receiver)?);
        Ok((FromWorkerSender::new(bootstrap.sender), receiver, bootstrap.settings))
    }
}
