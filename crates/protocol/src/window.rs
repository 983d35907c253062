//! [`SendWindow`]: how much may be on its way to a worker, so that a send never blocks.
//!
//! A send over ipc-channel blocks when the other side does not read: after 4 messages of 60 KiB or 278 small ones
//! (measured). A worker that is stopped would stop the scheduler with it. So no more is sent than surely fits, until the
//! worker says how many frames it has received.

use std::collections::VecDeque;

/// The most bytes of a frame.
pub(crate) const FRAME_BYTES: usize = 32 * 1024;
/// The most bytes on their way.
const WINDOW_BYTES: usize = 3 * FRAME_BYTES;
/// The most frames on their way.
const WINDOW_FRAMES: usize = 128;
/// After this many frames a worker that has nothing to say acknowledges.
pub(crate) const ACKNOWLEDGE_FRAMES: u64 = 32;
/// After this many bytes a worker that has nothing to say acknowledges.
pub(crate) const ACKNOWLEDGE_BYTES: usize = FRAME_BYTES;

/// What was sent and not yet acknowledged.
#[derive(Debug, Default)]
pub(crate) struct SendWindow {
    sizes: VecDeque<usize>,
    bytes: usize,
    acknowledged: u64,
}

impl SendWindow {
    /// Whether a frame of this size may be sent now.
    pub(crate) fn has_room(&self, size: usize) -> bool {
        self.sizes.is_empty() || (self.sizes.len() < WINDOW_FRAMES && self.bytes + size <= WINDOW_BYTES)
    }

    /// A frame was sent.
    pub(crate) fn sent(&mut self, size: usize) {
        self.sizes.push_back(size);
        self.bytes += size;
    }

    /// The worker has received this many frames since it started. A number that was never reached changes nothing.
    pub(crate) fn acknowledged(&mut self, frames: u64) {
        while self.acknowledged < frames {
            let Some(size) = self.sizes.pop_front() else { return };
            self.bytes -= size;
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
        assert!(!window.has_room(1));
        window.acknowledged(1);
        assert!(window.has_room(FRAME_BYTES));
        window.acknowledged(1_000_000);
        assert_eq!(window.bytes, 0);
    }

    #[test]
    fn many_small_frames_close_the_window_too() {
        let mut window = SendWindow::default();
        while window.has_room(1) {
            window.sent(1);
        }
        assert_eq!(window.sizes.len(), WINDOW_FRAMES);
    }
}
