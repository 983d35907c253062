//! [`SendWindow`]: how much may be on its way to a worker, so that a send never blocks.
//!
//! A send over ipc-channel blocks when the other side does not read and the socket's buffer is full. A worker that is
//! stopped would stop the scheduler with it. So no more is sent than surely fits, until the worker says how many frames it
//! has received. What a frame takes of the buffer is not its length: the kernel rounds it up, with its own account of it, to
//! a power of two (`socket(7)`, `SO_SNDBUF`; measured with frames of 40 bytes to 32 KiB).

use std::collections::VecDeque;

/// The most bytes of a frame.
pub(crate) const FRAME_BYTES: usize = 32 * 1024;
/// The most that frames on their way may take of the socket's buffer: what Linux gives one by default, of which nothing
/// here asks for less.
const WINDOW_BYTES: usize = 212_992;
/// The most frames on their way.
const WINDOW_FRAMES: usize = 128;
/// After this many frames a worker that has nothing to say acknowledges.
pub(crate) const ACKNOWLEDGE_FRAMES: u64 = 32;
/// After this many bytes a worker that has nothing to say acknowledges.
pub(crate) const ACKNOWLEDGE_BYTES: usize = FRAME_BYTES;

/// What a frame takes of the buffer at the most: its length, the headers before and behind it, all rounded up, and the
/// kernel's account of it.
fn cost(size: usize) -> usize {
    (size + 336).next_power_of_two() + 256
}

/// What was sent and not yet acknowledged.
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

    /// A frame was sent.
    pub(crate) fn sent(&mut self, size: usize) {
        self.costs.push_back(cost(size));
        self.taken += cost(size);
    }

    /// The worker has received this many frames since it started. A number that was never reached changes nothing.
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

    /// Whatever the worker may leave unacknowledged, one more frame has room.
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
