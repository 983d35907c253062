//! [`UnsentReplies`]: replies that a worker has not yet sent, in memory that outlives the worker.
//!
//! A worker keeps the replies of short attempts for a moment, to send several together. The attempt that it begins
//! meanwhile may end the worker, and these replies must not be lost with it. So the worker writes each reply to shared
//! memory before it begins the next attempt. When the channel of a worker has ended, the scheduler reads there the
//! replies that it has not received.
//!
//! # Layout
//! The messages of a worker are numbered from 0. Of the shared words ([`SharedWords`]) these are used:
//!
//! - [`UNSENT_FIRST`]: the number of the first message that is written here.
//! - [`UNSENT_LENGTH`]: how many words the messages take.
//! - From [`UNSENT_MESSAGES`] on, the messages: for each its length in bytes, then its bytes, padded to a whole word.
//!
//! # Protocol
//! *The worker* writes a message first, and the new `UNSENT_LENGTH` second. When it has sent all messages, it sets
//! `UNSENT_LENGTH` to 0 first, and `UNSENT_FIRST` second. It may die between any two steps: the messages within
//! `UNSENT_LENGTH` are always complete.
//!
//! *The scheduler* counts the messages that it receives. It skips those of the messages here that it has received
//! already, which are there when the worker died after it had sent them.
//!
//! # What is not trusted
//! The scheduler also stops receiving from a worker that lives, after the worker has sent something that is no
//! message. That worker may change the words while the scheduler reads. So the scheduler takes nothing from here if
//! `UNSENT_FIRST` changes while it reads. It also takes nothing if it has not received every message before
//! `UNSENT_FIRST`: replies were lost then, and these are lost with them.
//!
//! A task may write anything into these words. Reading ends at the first message that can't be decoded.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use pushflow_os::{SharedWords, WORDS};

use crate::FromWorker;
use crate::worker::{UNSENT_FIRST, UNSENT_LENGTH, UNSENT_MESSAGES};

/// How many words there are for messages.
const CAPACITY: usize = WORDS - UNSENT_MESSAGES;
const WORD: usize = size_of::<u64>();

/// The worker's side: writes the replies.
#[derive(Debug)]
pub struct UnsentReplies {
    shared: Arc<SharedWords>,
    /// How many messages the worker has sent.
    sent: u64,
    /// How many words the messages here take.
    written: usize,
}

impl UnsentReplies {
    /// No replies, in the words that a worker shares with its scheduler.
    pub fn new(shared: Arc<SharedWords>) -> UnsentReplies {
        UnsentReplies { shared, sent: 0, written: 0 }
    }

    /// Adds an encoded message, which the worker sends after all messages that it has sent or added so far. Returns
    /// `false` if the message does not fit.
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

    /// Removes all messages, since they were sent. `messages` is how many were sent since the last call, those included
    /// that were never added.
    pub fn clear(&mut self, messages: usize) {
        self.sent += messages as u64;
        if std::mem::take(&mut self.written) > 0 {
            self.shared.word(UNSENT_LENGTH).store(0, Ordering::Release);
        }
        self.shared.word(UNSENT_FIRST).store(self.sent, Ordering::Release);
    }
}

/// The messages that the scheduler has not received, of those that the worker has written here. `received` is how many
/// messages the scheduler has received.
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

/// All messages that are written here.
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
    use pushflow_model::AttemptId;

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
    fn a_message_that_was_written_and_not_sent_is_read() {
        let (mut unsent, shared) = unsent();
        assert_eq!(read_unreceived(&shared, 0), []);
        assert!(unsent.push(&message(0, 1)) && unsent.push(&message(1, 2)));
        assert_eq!(numbers(&read_unreceived(&shared, 0)), [0, 1]);
        // The worker died after it had sent some messages, and before it had removed them.
        assert_eq!(numbers(&read_unreceived(&shared, 1)), [1]);
        assert_eq!(read_unreceived(&shared, 2), []);
        // One of these was sent without being written here.
        unsent.clear(3);
        assert_eq!(read_unreceived(&shared, 3), []);
        assert!(unsent.push(&message(3, 1)));
        assert_eq!(numbers(&read_unreceived(&shared, 3)), [3]);
        assert_eq!(read_unreceived(&shared, 2), [], "a message before it was sent and not received");
    }

    #[test]
    fn a_message_that_does_not_fit_is_not_written() {
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
