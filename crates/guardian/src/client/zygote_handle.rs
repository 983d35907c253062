//! [`ZygoteHandle`]: the program's side of the socket to its zygote, over which it asks for guardians.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::unistd::{Pid, getpid};
use pushflow_os::SeqPacket;
use pushflow_os::limits::name_limit;
use pushflow_protocol::fd_message;

use super::wait::wait_readable;
use crate::messages::{FromZygote, ToZygote};

/// How long the zygote may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

static ZYGOTE: Mutex<ZygoteHandle> = Mutex::new(ZygoteHandle::NoInit);

/// What this process knows of its zygote.
enum ZygoteHandle {
    /// This program has not called `init()`.
    NoInit,
    /// There is no zygote, for this reason.
    Unavailable(String),
    /// The zygote waits for requests.
    Asleep {
        /// The socket to the zygote.
        socket: SeqPacket,
        /// The process that called `init()`. A fork of it has the socket too, but must not use it.
        program: Pid,
    },
}

/// Keeps the socket to the zygote, or the reason why `init()` could not make one.
pub(crate) fn note(made: io::Result<SeqPacket>) {
    *ZYGOTE.lock().unwrap_or_else(PoisonError::into_inner) = match made {
        Ok(socket) => ZygoteHandle::Asleep { socket, program: getpid() },
        Err(error) => {
            ZygoteHandle::Unavailable(format!("pushflow::init() could make no copy of this program ({error})"))
        }
    };
}

/// Has the zygote fork a guardian that serves on `socket`. Returns its pid.
///
/// # Errors
/// One sentence on why there is no guardian.
pub(super) fn fork_guardian(socket: &SeqPacket) -> Result<Pid, String> {
    let mut state = ZYGOTE.lock().unwrap_or_else(PoisonError::into_inner);
    match &*state {
        ZygoteHandle::NoInit => {
            Err("there is no copy of this program: call pushflow::init() first thing in main".into())
        }
        ZygoteHandle::Unavailable(reason) => Err(reason.clone()),
        ZygoteHandle::Asleep { program, .. } if *program != getpid() => {
            Err("this process is a fork of the one that called pushflow::init()".into())
        }
        ZygoteHandle::Asleep { socket: zygote, .. } => match ask(zygote, socket) {
            Ok(FromZygote::Forked { pid }) => Ok(Pid::from_raw(pid.cast_signed())),
            Ok(FromZygote::NotForked { errno }) => Err(name_limit(io::Error::from_raw_os_error(errno)).to_string()),
            Err(error) => {
                // The socket is not used again: a late answer would be taken for the answer to the next request.
                let reason = format!("the copy of this program that pushflow::init() made is gone ({error})");
                *state = ZygoteHandle::Unavailable(reason.clone());
                Err(reason)
            }
        },
    }
}

fn ask(zygote: &SeqPacket, socket: &SeqPacket) -> io::Result<FromZygote> {
    zygote.set_send_timeout(TIMEOUT)?;
    fd_message::send(zygote, &ToZygote::Guardian, &[socket.as_fd()])?;
    if !wait_readable(zygote.as_fd(), TIMEOUT) {
        return Err(io::Error::from(io::ErrorKind::TimedOut));
    }
    let answer = fd_message::receive(zygote, true)?;
    answer.map(|(answer, _)| answer).ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
}
