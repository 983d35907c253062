//! [`UnsentReplies`]: what a worker has said and not yet sent, in memory that outlives it.
//!
//! The answers of short attempts wait for company in the worker, and the attempt that it begins next may kill it: they
//! must not be lost with that one. So each is written here before it waits, and when nothing more comes over the worker's
//! channel the scheduler reads what it has not heard.
//!
//! # What stands there
//! The messages of a worker are numbered from 0. Of the shared words ([`SharedWords`]) [`UNSENT_FIRST`] is the number of the
//! first message here, and [`UNSENT_LENGTH`] says how many words the messages take that follow from [`UNSENT_MESSAGES`] on: for each
//! its length in bytes, and the bytes, filled up to a whole word. The worker writes a message first and `UNSENT_LENGTH` then;
//! when all of them are sent it sets `UNSENT_LENGTH` to 0, and `UNSENT_FIRST` then. So it may die at any point: what stands here is
//! whole, and what was sent nevertheless is known by its number, since the scheduler counts what it hears.
//!
//! The scheduler may also stop hearing a worker that lives, since it says what is no message. If `UNSENT_FIRST` changes while it
//! reads, or if messages before that one were never heard, it takes nothing from here: they are not worth more than those.
//! A task may write anything into these words, too. What is no message ends the reading.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use pushflow_os::{SharedWords, WORDS};

use crate::FromWorker;
use crate::worker::{UNSENT_FIRST, UNSENT_LENGTH, UNSENT_MESSAGES};

/// How many words there are for messages.
const CAPACITY: usize = WORDS - UNSENT_MESSAGES;
const WORD: usize = size_of::<u64>();

/// The worker's side.
#[derive(Debug)]
pub struct UnsentReplies {
    shared: Arc<SharedWords>,
    /// How many messages were sent.
    sent: u64,
    /// How many words are in use.
    written: usize,
}

impl UnsentReplies {
    /// In the words that a worker shares with its scheduler.
    pub fn new(shared: Arc<SharedWords>) -> UnsentReplies {
        UnsentReplies { shared, sent: 0, written: 0 }
    }

    /// Keeps a message that follows all that was sent and those that stand here, given how it is written down: whether there
    /// is room for it.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let words = bytes.len().div_ceil(WORD);
        if words >= CAPACITY - self.written {
            return false;
        }
        let at = UNSENT_MESSAGES + self.written;
        self.shared.word(at).store(bytes.len() as u64, Ordering::Relaxed);
        for (index, part) in bytes.chunks(WORD).enumerate() {
            let mut word = [0; WORD];
            word[..part.len()].copy_from_slice(part);
            self.shared.word(at + 1 + index).store(u64::from_le_bytes(word), Ordering::Relaxed);
        }
        self.written += 1 + words;
        self.shared.word(UNSENT_LENGTH).store(self.written as u64, Ordering::Release);
        true
    }

    /// What stands here was sent, all in all so many messages more.
    pub fn clear(&mut self, messages: usize) {
        self.sent += messages as u64;
        if std::mem::take(&mut self.written) > 0 {
            self.shared.word(UNSENT_LENGTH).store(0, Ordering::Release);
        }
        self.shared.word(UNSENT_FIRST).store(self.sent, Ordering::Release);
    }
}

/// The messages of a worker that were not heard, if so many were: those that it wrote down and did not send.
pub(crate) fn read_unreceived(shared: &SharedWords, received: u64) -> Vec<FromWorker> {
    let first = || shared.word(UNSENT_FIRST).load(Ordering::Acquire);
    let before = first();
    let Some(known) = received.checked_sub(before) else { return Vec::new() };
    let messages = read(shared);
    if first() != before {
        return Vec::new();
    }
    messages.into_iter().skip(usize::try_from(known).unwrap_or(usize::MAX)).collect()
}

/// All that stand here.
fn read(shared: &SharedWords) -> Vec<FromWorker> {
    let load = |at: usize| shared.word(at).load(Ordering::Acquire);
    let written = usize::try_from(load(UNSENT_LENGTH)).unwrap_or(CAPACITY).min(CAPACITY);
    let (mut at, end) = (UNSENT_MESSAGES, UNSENT_MESSAGES + written);
    let mut messages = Vec::new();
    while at < end {
        let length = usize::try_from(load(at)).unwrap_or(usize::MAX);
        let words = length.div_ceil(WORD);
        if words >= end - at {
            break;
        }
        let mut bytes: Vec<u8> = (at + 1..=at + words).flat_map(|at| load(at).to_le_bytes()).collect();
        bytes.truncate(length);
        let Ok(message) = postcard::from_bytes(&bytes) else { break };
        messages.push(message);
        at += 1 + words;
    }
    messages
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::AttemptId;

    fn message(number: u64, length: usize) -> Vec<u8> {
        postcard::to_stdvec(&FromWorker::GivenBack { attempts: vec![AttemptId(number); length] }).expect("it is plain")
    }

    fn numbers(messages: &[FromWorker]) -> Vec<u64> {
        messages
            .iter()
            .map(|message| match message {
                FromWorker::GivenBack { attempts } => attempts[0].0,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn unsent() -> (UnsentReplies, SharedWords) {
        let (ours, file) = SharedWords::new().expect("memory");
        let theirs = SharedWords::from_file(file).expect("the file of the words");
        (UnsentReplies::new(Arc::new(theirs)), ours)
    }

    #[test]
    fn what_was_written_and_not_sent_is_read_once_more() {
        let (mut unsent, shared) = unsent();
        assert_eq!(read_unreceived(&shared, 0), []);
        assert!(unsent.push(&message(0, 1)) && unsent.push(&message(1, 2)));
        assert_eq!(numbers(&read_unreceived(&shared, 0)), [0, 1]);
        // It died after it had sent them, or some, and before it could say so.
        assert_eq!(numbers(&read_unreceived(&shared, 1)), [1]);
        assert_eq!(read_unreceived(&shared, 2), []);
        // With one that was not written down.
        unsent.clear(3);
        assert_eq!(read_unreceived(&shared, 3), []);
        assert!(unsent.push(&message(3, 1)));
        assert_eq!(numbers(&read_unreceived(&shared, 3)), [3]);
        assert_eq!(read_unreceived(&shared, 2), [], "one before it was sent, and never heard");
    }

    #[test]
    fn what_has_no_room_is_not_written() {
        let (mut unsent, shared) = unsent();
        assert!(!unsent.push(&message(0, 1 << 20)));
        let fit = (0..1000).take_while(|&number| unsent.push(&message(number, 100))).count();
        assert!(fit > 10, "{fit}");
        assert_eq!(read_unreceived(&shared, 0).len(), fit);
        unsent.clear(fit);
        assert!(unsent.push(&message(0, 100)), "there is room again");
    }

    proptest! {
        #[test]
        fn whatever_is_written_into_the_words_is_read_without_harm(
            words in proptest::collection::vec(prop_oneof![0..40u64, any::<u64>()], 1..WORDS - 3),
            received in any::<u64>(),
        ) {
            let (_, shared) = unsent();
            for (index, &word) in words.iter().enumerate() {
                shared.word(3 + index).store(word, Ordering::Relaxed);
            }
            prop_assert!(read_unreceived(&shared, received).len() < WORDS);
        }
    }
}
