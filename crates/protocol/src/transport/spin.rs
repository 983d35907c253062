//! [`SpinWait`]: spins for a moment before it sleeps, while there is traffic.
//!
//! To be woken takes about as long as that moment. A spinning thread yields the processor to every other process that
//! wants it. An idle channel is waited for asleep. Both ends spin: if one end slept, the other would have to wake it
//! after all.

use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

/// How long a wait spins.
const SPIN_TIME: Duration = Duration::from_micros(50);
/// For how long after a packet the channel counts as one with traffic.
const TRAFFIC_TIME: Duration = Duration::from_millis(1);

/// Waits for the packets of one receiver, spinning first.
pub(super) struct SpinWait {
    socket: RawFd,
    /// When the last packet was received.
    last_packet: Option<Instant>,
}

impl SpinWait {
    /// For the packets of this socket, which must stay open as long as this exists.
    pub(super) fn at(socket: RawFd) -> SpinWait {
        SpinWait { socket, last_packet: None }
    }

    /// A packet was received.
    pub(super) fn received(&mut self) {
        self.last_packet = Some(Instant::now());
    }

    /// Spins until there is something to receive, or until the caller should sleep.
    pub(super) fn wait(&self) {
        let began = Instant::now();
        if self.last_packet.is_none_or(|last_packet| began - last_packet > TRAFFIC_TIME) {
            return;
        }
        while !self.is_readable() && began.elapsed() < SPIN_TIME {
            std::thread::yield_now();
        }
    }

    /// Whether a receive would return at once, with a packet, the end of the channel, or an error.
    fn is_readable(&self) -> bool {
        let looked = recv(self.socket, &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT);
        looked != Err(Errno::EAGAIN)
    }
}
