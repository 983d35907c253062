//! The snapshot: a copy of the calling program as it was at `init()`, for the start method `fork`.
//!
//! # Why it is made at once
//! A process can be forked safely only while it has one thread, and a program that runs workflows has several. So
//! `init()`, which comes first, forks a copy then and there. The copy sleeps and shares its memory with the program, so
//! that it costs next to nothing until it is needed; most programs never need it.
//!
//! # States
//! - *asleep*: it waits for its program to end, or to say [`ToSnapshot::Guardian`].
//! - *asked*: it makes a copy of its own that is the program's child, as a guardian that was executed would be, and
//!   that goes on as the guardian; its keepers then make workers that are copies of that. It answers, and sleeps again.
//! - *over*: its program has ended (death signal, end of its socket, and pidfd, so that a program that is killed,
//!   that calls `exec`, or whose children keep the socket open, is seen to end), and so does it.
//!
//! A program that waits for all of its children waits for neither snapshot nor guardian: both are *unnoticed*.
//!
//! # What it must not keep
//! It leads a session of its own and has every signal blocked from before it was made, so that no Ctrl-C is for it. Each
//! file of the program is replaced by `/dev/null` under its number: nobody waits for the end of a pipe because of it,
//! and what in a worker still writes to a file of the program's writes into no file of the worker's. It leaves without
//! exit handlers.

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Once;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::unistd::{Pid, getpid, getppid};
use pushflow_os::fork::run_and_exit;
use pushflow_os::limits::name_limit;
use pushflow_os::{Fork, PidFd, SeqPacket, files, fork_with_clone_parent, fork_without_sigchld};
use pushflow_protocol::courier;

use crate::client::zygote;
use crate::messages::{FromSnapshot, ToSnapshot};
use crate::server;
use crate::worker_program::WorkerProgram;

/// Makes the snapshot of this program, the first time. Where that is not possible, the start method `fork` says why.
pub fn take(worker: WorkerProgram) {
    static TAKEN: Once = Once::new();
    TAKEN.call_once(|| zygote::note(make(worker)));
}

fn make(worker: WorkerProgram) -> io::Result<SeqPacket> {
    // What is not written yet would be written by every copy.
    io::stdout().flush().ok();
    files::flush_c_streams();
    let (ours, theirs) = SeqPacket::pair()?;
    let program = PidFd::open(getpid())?;
    let pid = getpid();
    let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let forked = fork_without_sigchld();
    if let Ok(Fork::Child) = forked {
        run_and_exit(|| i32::from(Snapshot::begin(pid, theirs, program, worker).and_then(Snapshot::sleep).is_err()));
    }
    mask.thread_set_mask()?;
    forked.map(|_| ours).map_err(name_limit)
}

struct Snapshot {
    socket: SeqPacket,
    program: PidFd,
    /// Numbers at which the program had files.
    inherited: Vec<RawFd>,
    worker: WorkerProgram,
}

impl Snapshot {
    fn begin(parent: Pid, socket: SeqPacket, program: PidFd, worker: WorkerProgram) -> io::Result<Snapshot> {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        if getppid() != parent {
            return Err(io::Error::other("the program has ended"));
        }
        nix::unistd::setsid()?;
        nix::sys::prctl::set_name(c"pushflow-snap")?;
        nix::unistd::chdir("/")?;
        zygote::note(Err(io::Error::other("this process is itself such a copy")));
        let own = [socket.as_fd().as_raw_fd(), program.as_fd().as_raw_fd()];
        let mut inherited = files::open_numbers()?;
        inherited.retain(|number| !own.contains(number));
        files::replace_by_null(&inherited)?;
        Ok(Snapshot { socket, program, inherited, worker })
    }

    /// Until the program has ended.
    fn sleep(self) -> io::Result<()> {
        loop {
            let mut files =
                [&self.program.as_fd(), &self.socket.as_fd()].map(|file| PollFd::new(*file, PollFlags::POLLIN));
            match poll(&mut files, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
            if files[0].revents().is_some_and(|events| !events.is_empty()) {
                return Ok(());
            }
            match courier::receive(&self.socket, false) {
                Ok(Some((ToSnapshot::Guardian, files))) => {
                    let answer = self.fork_guardian(files);
                    courier::send(&self.socket, &answer, &[])?;
                }
                Ok(None) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn fork_guardian(&self, mut files: Vec<OwnedFd>) -> FromSnapshot {
        let Some(socket) = files.pop() else { return FromSnapshot::NotForked { errno: Errno::EINVAL as i32 } };
        match fork_with_clone_parent() {
            Ok(Fork::Parent(pid)) => FromSnapshot::Forked { pid: pid.as_raw().unsigned_abs() },
            Ok(Fork::Child) => run_and_exit(|| i32::from(self.be_guardian(SeqPacket::from_fd(socket)).is_err())),
            Err(error) => FromSnapshot::NotForked { errno: error.raw_os_error().unwrap_or(Errno::EIO as i32) },
        }
    }

    fn be_guardian(&self, socket: SeqPacket) -> io::Result<()> {
        let kept = self.inherited.iter().copied().chain([socket.as_fd().as_raw_fd()]);
        files::close_all_except(&kept.collect::<Vec<_>>())?;
        nix::unistd::setsid()?;
        server::run_guardian(socket, self.inherited.clone(), self.worker)
    }
}
