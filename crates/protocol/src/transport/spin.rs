//! [`SpinWait`]: waits for the next packet without sleeping, for a moment, while there is traffic.
//!
//! To be woken up takes about as long as that moment. Other processes run meanwhile if they want to, and an idle channel
//! is waited for asleep. Both ends do so, else the one that sleeps is woken all the same.

use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

/// How long the next packet is waited for awake.
const SPIN_TIME: Duration = Duration::from_micros(50);
/// How long after a packet there is still traffic.
const TRAFFIC_TIME: Duration = Duration::from_millis(1);

/// Waits for the packets of one receiver.
pub(super) struct SpinWait {
    socket: RawFd,
    last_packet: Option<Instant>,
}

impl SpinWait {
    /// For what comes over this socket, which lives as long as this.
    pub(super) fn at(socket: RawFd) -> SpinWait {
        SpinWait { socket, last_packet: None }
    }

    /// A packet came.
    pub(super) fn received(&mut self) {
        self.last_packet = Some(Instant::now());
    }

    /// Waits until there is something to receive, or sleep is due.
    pub(super) fn wait(&self) {
        let began = Instant::now();
        if self.last_packet.is_none_or(|last_packet| began - last_packet > TRAFFIC_TIME) {
            return;
        }
        while !self.is_readable() && began.elapsed() < SPIN_TIME {
            std::thread::yield_now();
        }
    }

    /// Whether there is something to receive, an end or an error included.
    fn is_readable(&self) -> bool {
        let looked = recv(self.socket, &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT);
        looked != Err(Errno::EAGAIN)
    }
}
