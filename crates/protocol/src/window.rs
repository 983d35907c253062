//! [`SendWindow`]: how much may be in transit to a worker, so that a send never blocks.
//!
//! A send over ipc-channel blocks when the other side does not read and the buffer of the socket is full. So a worker
//! that is stopped would stop the scheduler, too.
//!
//! # Protocol
//! The scheduler sends no more frames than surely fit the buffer: three of the full length. The worker counts the
//! frames that it receives. It acknowledges, that is, it sends that number, after [`ACKNOWLEDGE_FRAMES`] frames or
//! [`ACKNOWLEDGE_BYTES`] bytes. The frames up to that number are then out of the buffer, and the scheduler may send
//! more.
//!
//! Whatever the worker may leave unacknowledged, one more frame of any length fits the window. So the two sides never
//! wait for each other.
//!
//! A frame takes more of the buffer than its length. The kernel rounds the frame, together with its own bookkeeping,
//! up to a power of two (`socket(7)`, `SO_SNDBUF`; measured with frames of 40 bytes to 32 KiB).

use std::collections::VecDeque;

/// The most bytes of a frame, its first byte included.
pub(crate) const FRAME_BYTES: usize = 32 * 1024;
/// The most bytes of the buffer that frames in transit may take. This is the size that Linux gives a socket by
/// default, and nothing here sets a smaller one.
const WINDOW_BYTES: usize = 212_992;
/// The most frames in transit.
const WINDOW_FRAMES: usize = 128;
/// After this many frames a worker acknowledges.
pub(crate) const ACKNOWLEDGE_FRAMES: u64 = 32;
/// After this many bytes a worker acknowledges.
pub(crate) const ACKNOWLEDGE_BYTES: usize = FRAME_BYTES;

/// The most bytes of the buffer that a frame takes: its length with the headers before and behind it, rounded up, and
/// the kernel's bookkeeping.
fn cost(size: usize) -> usize {
    (size + 336).next_power_of_two() + 256
}

/// The frames that were sent and not yet acknowledged.
#[derive(Debug, Default)]
pub(crate) struct SendWindow {
    costs: VecDeque<usize>,
    taken: usize,
    acknowledged: u64,
}

impl SendWindow {
    /// Whether a frame of this size may be sent now.
    pub(crate) fn has_room(&self, size: usize) -> bool {
        self.costs.is_empty() || (self.costs.len() < WINDOW_FRAMES && self.taken + cost(size) <= WINDOW_BYTES)
    }

    /// Counts a frame that was sent.
    pub(crate) fn sent(&mut self, size: usize) {
        self.costs.push_back(cost(size));
        self.taken += cost(size);
    }

    /// The worker has received this many frames since it started. A number beyond the frames that were sent counts as
    /// that of the last one.
    pub(crate) fn acknowledged(&mut self, frames: u64) {
        while self.acknowledged < frames {
            let Some(cost) = self.costs.pop_front() else { return };
            self.taken -= cost;
            self.acknowledged += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_closes_when_full_and_opens_when_frames_are_acknowledged() {
        let mut window = SendWindow::default();
        for _ in 0..3 {
            assert!(window.has_room(FRAME_BYTES));
            window.sent(FRAME_BYTES);
        }
        assert!(!window.has_room(FRAME_BYTES));
        window.acknowledged(1);
        assert!(window.has_room(FRAME_BYTES));
        window.acknowledged(1_000_000);
        assert_eq!(window.taken, 0);
    }

    #[test]
    fn many_small_frames_close_the_window_too() {
        let mut window = SendWindow::default();
        while window.has_room(1) {
            window.sent(1);
        }
        assert_eq!(window.costs.len(), WINDOW_FRAMES);
    }

    /// Whatever the worker may leave unacknowledged, one more frame fits.
    #[test]
    fn a_worker_that_need_not_acknowledge_yet_never_closes_the_window() {
        for size in [1, 177, 700, 1000, 3800, 7900, 16_000, FRAME_BYTES - 1] {
            let mut window = SendWindow::default();
            let (mut frames, mut bytes) = (0, 0);
            while frames + 1 < ACKNOWLEDGE_FRAMES && bytes + size < ACKNOWLEDGE_BYTES {
                assert!(window.has_room(size));
                window.sent(size);
                (frames, bytes) = (frames + 1, bytes + size);
            }
            assert!(window.has_room(FRAME_BYTES), "{frames} frames of {size} bytes");
        }
    }
}
