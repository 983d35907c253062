//! The transport over real channels.

use bytes::Bytes;
use pushflow_model::{AttemptId, CommandTask, Family, ProcessClass, ScriptTask, TaskSpec};

use super::envelope::{Envelope, write_envelope};
use super::frames::{LAST, number_in};
use super::*;
use crate::slabs::{PackedData, SchedulerSide, SlabStore};
use crate::{FromWorker, GuardianAddress, Identity, Job, ToWorker, WorkerSettings};

fn job(attempt: u64, size: usize) -> ToWorker {
    let task = TaskSpec::Rust { name: "task".into() };
    ToWorker::Run(vec![Job {
        attempt: AttemptId(attempt),
        actor: "actor".into(),
        task,
        inputs: PackedData::inline(Bytes::from(vec![attempt as u8; size])),
    }])
}

fn settings(marker: &str) -> WorkerSettings {
    let class = ProcessClass { family: Family::ConcurrentFutures, daemonic: false };
    WorkerSettings {
        identity: Identity { name: "worker".into(), parent: 1, class },
        guardian: GuardianAddress { pid: 1, program: "worker".into(), run_directory: "run".into() },
        marker: marker.into(),
        python: None,
        start_python: false,
    }
}

fn slabs() -> SchedulerSide {
    SchedulerSide::new(SlabStore::default(), pushflow_os::SeqPacket::pair().unwrap().0)
}

fn connected() -> ((ToWorkerSender, FromWorkerReceiver), (FromWorkerSender, ToWorkerReceiver)) {
    let server = WorkerServer::open().unwrap();
    let settings = settings("mark");
    let scheduler = connect(server.name().to_owned(), settings.clone(), slabs()).unwrap();
    let (sender, receiver, received) = server.accept().unwrap();
    assert_eq!(received, settings);
    (scheduler, (sender, receiver))
}

#[test]
fn a_long_message_crosses_in_both_directions_without_a_blocking_send() {
    let ((mut to_worker, mut from_worker), (sender, mut receiver)) = connected();
    // The worker does not read yet: a send that blocks would never return.
    to_worker.send(&job(1, 1_000_000)).unwrap();
    to_worker.send(&job(2, 5)).unwrap();
    let worker = std::thread::spawn(move || {
        let mut messages = Vec::new();
        while messages.len() < 2 {
            if let Incoming::Message(message) = receiver.receive().unwrap() {
                messages.push(message);
            }
            if receiver.acknowledge_due() {
                sender.send(&MessageBatch::default(), receiver.acknowledge(), &[]).unwrap();
            }
        }
        let result = PackedData::inline(Bytes::from(vec![7; 1_000_000]));
        let finished = FromWorker::Finished { attempt: AttemptId(2), result, marked: false };
        sender.send(&batch(&[finished]), receiver.acknowledge(), &[]).unwrap();
        messages
    });
    let result = loop {
        let mut batch = from_worker.receive().unwrap();
        to_worker.acknowledged(batch.frames).unwrap();
        if let Some(FromWorker::Finished { result, .. }) = batch.messages.pop() {
            break result;
        }
    };
    assert_eq!(result, PackedData::inline(Bytes::from(vec![7; 1_000_000])));
    assert_eq!(worker.join().unwrap(), [job(1, 1_000_000), job(2, 5)]);
}

/// The worker may be stopped. Frames of different sizes take more of the socket's buffer than their length.
#[test]
fn no_send_blocks_whatever_the_sizes_and_however_little_is_read() {
    for sizes in [&[40][..], &[600], &[900], &[1700], &[3700], &[7800], &[16_000], &[3700, 3700, 3700, 40, 900]] {
        let ((mut to_worker, _from_worker), _worker) = connected();
        let (returned, has_returned) = std::sync::mpsc::channel();
        let sizes = sizes.to_vec();
        // If a send blocks, it does so for ever, and the thread is left behind.
        std::thread::spawn(move || {
            for (attempt, size) in (0..200).zip(sizes.into_iter().cycle()) {
                to_worker.send(&job(attempt, size)).unwrap();
            }
            returned.send(()).ok();
        });
        assert!(has_returned.recv_timeout(std::time::Duration::from_secs(20)).is_ok(), "a send blocks");
    }
}

#[test]
fn a_task_with_paths_that_are_no_text_crosses() {
    use std::os::unix::ffi::OsStringExt;
    let path = std::path::PathBuf::from(std::ffi::OsString::from_vec(b"/caf\xe9/task.sh".to_vec()));
    let command = CommandTask {
        argv: vec!["sh".into()],
        stdin: None,
        environment: Vec::new(),
        directory: Some(path.clone()),
        any_exit_code: false,
    };
    let ((mut to_worker, _from_worker), (_sender, mut receiver)) = connected();
    for task in [TaskSpec::Script(ScriptTask::File(path)), TaskSpec::Command(command)] {
        let inputs = PackedData::inline(Bytes::new());
        let message = ToWorker::Run(vec![Job { attempt: AttemptId(1), actor: "actor".into(), task, inputs }]);
        to_worker.send(&message).unwrap();
        assert!(matches!(receiver.receive().unwrap(), Incoming::Message(received) if received == message));
    }
}

#[test]
fn the_death_of_either_side_is_seen() {
    let ((to_worker, mut from_worker), worker) = connected();
    drop(worker);
    assert!(matches!(from_worker.receive(), Err(TransportError::Closed)));
    let ((scheduler, _), (_sender, mut receiver)) = connected();
    drop(scheduler);
    assert!(matches!(receiver.receive(), Err(TransportError::Closed)));
    drop(to_worker);
}

#[test]
fn a_frame_that_is_no_message_is_the_loss_of_the_worker_only() {
    for garbage in [&[][..], &[9, 9, 9], &[LAST, 0xff, 0xff, 0xff]] {
        let ((_to_worker, mut from_worker), (sender, _receiver)) = connected();
        sender.sender.send(garbage).unwrap();
        assert!(matches!(from_worker.receive(), Err(TransportError::Garbage(_))), "{garbage:?}");
    }
}

/// A task may write anything into the worker's socket. ipc-channel must not take the reply that follows for a part of
/// it.
#[test]
fn a_packet_that_is_not_of_ipc_channel_is_the_loss_of_the_worker_only() {
    for length in [1, 3, 7, 8, 9, 15, 16, 17, 100, 4000, 60_000] {
        let ((_to_worker, mut from_worker), (sender, _receiver)) = connected();
        let socket = number_in(&format!("{:?}", sender.sender)).unwrap();
        nix::sys::socket::send(socket, &vec![0xa5; length], nix::sys::socket::MsgFlags::empty()).unwrap();
        sender.send(&batch(&[FromWorker::Ready { pid: 1 }]), 0, &[]).unwrap();
        assert!(matches!(from_worker.receive(), Err(TransportError::Garbage(_))), "{length} bytes");
    }
}

#[test]
fn nobody_to_connect_to_is_an_error_at_once() {
    let server = WorkerServer::open().unwrap();
    let name = server.name().to_owned();
    drop(server);
    assert!(connect(name, settings(""), slabs()).is_err());
}

fn batch(messages: &[FromWorker]) -> MessageBatch {
    let mut batch = MessageBatch::default();
    messages.iter().for_each(|message| drop(batch.push(message).unwrap().to_vec()));
    batch
}

#[test]
fn messages_that_are_encoded_one_by_one_are_read_together() {
    for count in [0, 1, 2, 127, 128, 300] {
        let message = |attempt| FromWorker::GivenBack { attempts: vec![AttemptId(attempt); 3] };
        let messages: Vec<FromWorker> = (0..count).map(message).collect();
        let written = write_envelope(&batch(&messages), u64::MAX - count, &[]).unwrap();
        let read: Envelope = postcard::from_bytes(&written).unwrap();
        assert_eq!((read.received, read.messages, read.released), (u64::MAX - count, messages, Vec::new()));
    }
}
