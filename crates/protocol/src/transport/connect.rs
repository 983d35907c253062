//! How a worker and the scheduler come to have channels: the worker's server, and [`connect`].

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

/// What the scheduler hands a worker in the first message, the only one with handles.
#[derive(Serialize, Deserialize)]
struct Bootstrap {
    receiver: IpcBytesReceiver,
    sender: IpcBytesSender,
    settings: WorkerSettings,
}

/// Connects to a worker's one-shot server and hands over its ends; `slabs` holds what it is lent and granted.
///
/// # Errors
/// When the worker is gone.
pub fn connect(
    server: String,
    settings: WorkerSettings,
    slabs: SchedulerSide,
) -> Result<(ToWorkerSender, FromWorkerReceiver), TransportError> {
    let (sender, worker_receiver) = bytes_channel()?;
    let (worker_sender, receiver) = bytes_channel()?;
    let bootstrap = Bootstrap { receiver: worker_receiver, sender: worker_sender, settings };
    let frames = FrameReader::of_worker(receiver)?;
    // The bootstrap's own copies of the worker's ends go when it is dropped here: with a copy alive in this process the
    // worker's death would go unseen.
    IpcSender::connect(server)?.send(bootstrap).map_err(receive_error)?;
    let slabs = Arc::new(Mutex::new(slabs));
    Ok((ToWorkerSender::new(sender, slabs.clone()), FromWorkerReceiver::new(frames, slabs)))
}

/// A worker's place to be connected to.
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

    /// What to connect to.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits for the scheduler to connect.
    ///
    /// # Errors
    /// When what connects says something else.
    pub fn accept(self) -> Result<(FromWorkerSender, ToWorkerReceiver, WorkerSettings), TransportError> {
        let (_, bootstrap) = self.server.accept().map_err(receive_error)?;
        let receiver = ToWorkerReceiver::new(FrameReader::of_scheduler(bootstrap.receiver)?);
        Ok((FromWorkerSender::new(bootstrap.sender), receiver, bootstrap.settings))
    }
}
