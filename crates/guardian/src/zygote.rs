//! The zygote: a fork of the calling program as it was at `init()`, for the start method `fork`.
//!
//! # Why `init()` makes it
//! A process can be forked safely only while it has one thread, and a program that runs workflows has several. So
//! `init()`, which the program calls first, forks the zygote. The zygote sleeps and shares its memory with the program,
//! so it costs next to nothing until a pool needs it (0.2 ms once). Most programs never need it. A zygote made later
//! would have another state than that of `init()`, or be a fork of a process with threads.
//!
//! For the other start methods the guardian is executed. In both cases a program that opens no pool has no guardian and
//! no run directory.
//!
//! # States
//! - *asleep*: the zygote waits for [`ToZygote::Guardian`] and for the end of the program.
//! - *asked*: the zygote forks itself. The fork is a child of the program, as an executed guardian would be, and
//!   becomes the guardian. The keepers of this guardian start workers that are forks of the guardian. The zygote
//!   answers with [`FromZygote`] and is asleep again.
//! - *ended*: the program has ended, so the zygote exits. It has three signs of that end: its death signal, a pidfd of
//!   the program, and the end of its socket. Together they cover a program that is killed, that calls `exec`, or whose
//!   children keep the socket open.
//!
//! A program that waits for all of its children waits neither for the zygote nor for a guardian forked by it: neither
//! sends SIGCHLD when it ends ([`fork_without_sigchld`]).
//!
//! # What it must not keep
//! - Signals: the zygote leads a session of its own, and all signals are blocked from before the fork on. A Ctrl-C does
//!   nothing to it.
//! - Files: each file of the program is replaced by `/dev/null` under the same number. So the zygote keeps no pipe open
//!   whose end someone waits for. And since the number stays taken, code in a worker that writes to a file of the
//!   program never writes into a file of the worker.
//! - Exit handlers: the zygote exits without them.

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
use pushflow_protocol::fd_message;

use crate::client::zygote_handle;
use crate::messages::{FromZygote, ToZygote};
use crate::server;
use crate::worker_program::WorkerProgram;

/// Forks the zygote of this program at the first call. If that fails, pools with the start method `fork` report why.
pub fn start_zygote(worker: WorkerProgram) {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| zygote_handle::note(make(worker)));
}

fn make(worker: WorkerProgram) -> io::Result<SeqPacket> {
    // Otherwise each fork would write the buffered output once more.
    io::stdout().flush().ok();
    files::flush_c_streams();
    let (ours, theirs) = SeqPacket::pair()?;
    let program = PidFd::open(getpid())?;
    let pid = getpid();
    let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let forked = fork_without_sigchld();
    if let Ok(Fork::Child) = forked {
        run_and_exit(|| i32::from(Zygote::begin(pid, theirs, program, worker).and_then(Zygote::sleep).is_err()));
    }
    mask.thread_set_mask()?;
    forked.map(|_| ours).map_err(name_limit)
}

/// The zygote process.
struct Zygote {
    /// The socket to the program.
    socket: SeqPacket,
    /// The program, which is the parent.
    program: PidFd,
    /// The numbers at which the program had files.
    inherited: Vec<RawFd>,
    worker: WorkerProgram,
}

impl Zygote {
    /// Turns the fork into the zygote.
    fn begin(parent: Pid, socket: SeqPacket, program: PidFd, worker: WorkerProgram) -> io::Result<Zygote> {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        if getppid() != parent {
            return Err(io::Error::other("the program has ended"));
        }
        nix::unistd::setsid()?;
        nix::sys::prctl::set_name(c"pushflow-zygote")?;
        nix::unistd::chdir("/")?;
        zygote_handle::note(Err(io::Error::other("this process is itself a zygote")));
        let own = [socket.as_fd().as_raw_fd(), program.as_fd().as_raw_fd()];
        let mut inherited = files::open_numbers()?;
        inherited.retain(|number| !own.contains(number));
        files::replace_by_null(&inherited)?;
        Ok(Zygote { socket, program, inherited, worker })
    }

    /// Answers requests until the program has ended.
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
            match fd_message::receive(&self.socket, false) {
                Ok(Some((ToZygote::Guardian, files))) => {
                    let answer = self.fork_guardian(files);
                    fd_message::send(&self.socket, &answer, &[])?;
                }
                Ok(None) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Forks a guardian that serves on the file of the request.
    fn fork_guardian(&self, mut files: Vec<OwnedFd>) -> FromZygote {
        let Some(socket) = files.pop() else { return FromZygote::NotForked { errno: Errno::EINVAL as i32 } };
        match fork_with_clone_parent() {
            Ok(Fork::Parent(pid)) => FromZygote::Forked { pid: pid.as_raw().unsigned_abs() },
            Ok(Fork::Child) => run_and_exit(|| i32::from(self.be_guardian(SeqPacket::from_fd(socket)).is_err())),
            Err(error) => FromZygote::NotForked { errno: error.raw_os_error().unwrap_or(Errno::EIO as i32) },
        }
    }

    /// The whole life of the guardian.
    fn be_guardian(&self, socket: SeqPacket) -> io::Result<()> {
        let kept = self.inherited.iter().copied().chain([socket.as_fd().as_raw_fd()]);
        files::close_all_except(&kept.collect::<Vec<_>>())?;
        nix::unistd::setsid()?;
        server::run_guardian(socket, self.inherited.clone(), self.worker)
    }
}
