//! [`LineBuffers`]: the beginnings of lines that attempts and workers have printed without an end of line so far. No text of
//! an attempt that has ended is kept.

use std::collections::BTreeMap;
use std::mem;

use pushflow::{ActorId, AttemptId, Stream};

/// The length in bytes above which a line is handed out in pieces.
const MAX_LINE: usize = 64 * 1024;

/// The attempt, with its actor, that printed; `None` for output of a worker outside of any attempt.
pub(crate) type OutputSource = Option<(AttemptId, ActorId)>;

/// The beginnings of lines. Those of workers come first, then those of the attempts in their order; of each attempt,
/// standard output comes before standard error.
#[derive(Default)]
pub(crate) struct LineBuffers(BTreeMap<StreamKey, Vec<u8>>);

/// The source of a line, and whether the line was printed on standard error.
type StreamKey = (OutputSource, bool);

impl LineBuffers {
    /// Adds printed bytes, and hands each line that is now complete or too long to `print`.
    pub(crate) fn add(&mut self, source: OutputSource, stream: Stream, bytes: &[u8], mut print: impl FnMut(&[u8])) {
        let key = (source, stream == Stream::Stderr);
        let mut text = self.0.remove(&key).unwrap_or_default();
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (part, complete) = match part.strip_suffix(b"\n") {
                Some(part) => (part, true),
                None => (part, false),
            };
            text.extend_from_slice(part);
            if complete || text.len() > MAX_LINE {
                print(&text);
                text.clear();
            }
        }
        if !text.is_empty() {
            self.0.insert(key, text);
        }
    }

    /// Hands out the beginnings of lines of an attempt that has ended.
    pub(crate) fn end(&mut self, actor: ActorId, attempt: AttemptId, mut print: impl FnMut(&[u8])) {
        for is_error in [false, true] {
            if let Some(text) = self.0.remove(&(Some((attempt, actor)), is_error)) {
                print(&text);
            }
        }
    }

    /// Hands out all beginnings of lines, where no end of any line can be expected.
    pub(crate) fn end_all(&mut self, mut print: impl FnMut(OutputSource, &[u8])) {
        mem::take(&mut self.0).into_iter().for_each(|((source, _), text)| print(source, &text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pushflow::Workflow;

    fn actor() -> ActorId {
        Workflow::new("test").start().expect("a workflow may have a start")
    }

    #[test]
    fn nothing_is_kept_of_an_attempt_that_has_ended() {
        let (actor, mut buffers, mut printed) = (actor(), LineBuffers::default(), Vec::new());
        for attempt in (1..=1000).map(AttemptId) {
            buffers.add(Some((attempt, actor)), Stream::Stderr, &[b'e'; 1000], |_| panic!("no line is complete"));
            buffers.add(Some((attempt, actor)), Stream::Stdout, b"o", |_| panic!("no line is complete"));
            buffers.end(actor, attempt, |text| printed.push(text.to_vec()));
            assert!(buffers.0.is_empty());
        }
        assert_eq!(printed.len(), 2000);
        assert_eq!(printed[..2], [b"o".to_vec(), vec![b'e'; 1000]]);
    }

    #[test]
    fn what_is_left_is_handed_out_in_the_order_of_the_attempts() {
        let (actor, mut buffers, mut printed) = (actor(), LineBuffers::default(), Vec::new());
        for number in [3, 1, 2] {
            buffers.add(Some((AttemptId(number), actor)), Stream::Stdout, number.to_string().as_bytes(), |_| ());
        }
        buffers.add(None, Stream::Stdout, b"of a worker", |_| ());
        buffers.end_all(|source, text| printed.push((source.is_some(), String::from_utf8_lossy(text).into_owned())));
        assert_eq!(printed.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), ["of a worker", "1", "2", "3"]);
        assert!(!printed[0].0 && printed[1].0);
        assert!(buffers.0.is_empty());
    }

    #[test]
    fn lines_are_handed_out_when_they_are_complete_or_too_long() {
        let (mut buffers, mut printed) = (LineBuffers::default(), Vec::new());
        buffers.add(None, Stream::Stdout, b"one\ntw", |text| printed.push(text.to_vec()));
        buffers.add(None, Stream::Stdout, b"o\n\n", |text| printed.push(text.to_vec()));
        assert_eq!(printed, [b"one".to_vec(), b"two".to_vec(), Vec::new()]);
        buffers.add(None, Stream::Stdout, &vec![b'x'; MAX_LINE + 1], |text| printed.push(text.to_vec()));
        assert_eq!(printed[3].len(), MAX_LINE + 1);
        assert!(buffers.0.is_empty());
    }
}
