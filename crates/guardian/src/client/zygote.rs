//! The program's side of its snapshot: the copy of it that `init()` made, from which guardians can be forked for the
//! start method `fork`.

use std::io;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::unistd::{Pid, getpid};
use pushflow_os::SeqPacket;
use pushflow_os::limits::name_limit;
use pushflow_protocol::courier;

use crate::client::wait_readable;
use crate::messages::{FromSnapshot, ToSnapshot};

/// How long the snapshot may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

static SNAPSHOT: Mutex<State> = Mutex::new(State::NoInit);

enum State {
    NoInit,
    /// Why there is none.
    None(String),
    /// It listens to this process.
    Sleeps {
        socket: SeqPacket,
        program: Pid,
    },
}

/// Notes what came of making the snapshot: the socket on which it listens.
pub fn note(made: io::Result<SeqPacket>) {
    *SNAPSHOT.lock().unwrap_or_else(PoisonError::into_inner) = match made {
        Ok(socket) => State::Sleeps { socket, program: getpid() },
        Err(error) => State::None(format!("pushflow::init() could make no copy of this program ({error})")),
    };
}

/// Has the snapshot fork a guardian for the other end of `socket`: its pid, or one sentence on why not.
pub(crate) fn fork_guardian(socket: &SeqPacket) -> Result<Pid, String> {
    let mut state = SNAPSHOT.lock().unwrap_or_else(PoisonError::into_inner);
    match &*state {
        State::NoInit => Err("there is no copy of this program: call pushflow::init() first thing in main".into()),
        State::None(reason) => Err(reason.clone()),
        State::Sleeps { program, .. } if *program != getpid() => {
            Err("this process is a fork of the one that called pushflow::init()".into())
        }
        State::Sleeps { socket: snapshot, .. } => match ask(snapshot, socket) {
            Ok(FromSnapshot::Forked { pid }) => Ok(Pid::from_raw(pid.cast_signed())),
            Ok(FromSnapshot::NotForked { errno }) => Err(name_limit(io::Error::from_raw_os_error(errno)).to_string()),
            Err(error) => {
                // A late answer would be taken for the next one.
                let reason = format!("the copy of this program that pushflow::init() made is gone ({error})");
                *state = State::None(reason.clone());
                Err(reason)
            }
        },
    }
}

fn ask(snapshot: &SeqPacket, socket: &SeqPacket) -> io::Result<FromSnapshot> {
    snapshot.set_send_timeout(TIMEOUT)?;
    courier::send(snapshot, &ToSnapshot::Guardian, &[socket.as_fd()])?;
    if !wait_readable(snapshot.as_fd(), TIMEOUT) {
        return Err(io::Error::from(io::ErrorKind::TimedOut));
    }
    let answer = courier::receive(snapshot, true)?;
    answer.map(|(answer, _)| answer).ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
}
