//! Which of a worker's output belongs to which attempt.
//!
//! A worker's standard output and error are pipes whose other ends the scheduler holds, so that what a worker wrote
//! before it died is not lost with it. Before it begins an attempt, the worker writes its number into a word of memory
//! that both share ([`crate::CURRENT_ATTEMPT`]). When an attempt has failed, or has ended with some of its output on its way, the
//! worker writes a marker into both: what stands before it was written during that attempt (or by what earlier ones left
//! running). The marker holds a word made anew for each pool, so that no task writes one by accident.
//!
//! After other attempts there is no marker: two writes and their wake-ups would be most of the cost of a small task. What
//! such an attempt printed was read and told while it ran. So when the reader has read something, it looks at the shared
//! word, and then reads all that is in the pipe by then: without a marker in that, what it had read before is of the
//! attempt of that word. If it were of an older one, its marker would have been in the pipe before the word was written.
//!
//! # Unread, or read and not told
//! What the reader has taken out of a pipe is on its way until it has told whose it is; the worker's answer must not
//! overtake it. So the reader sets a shared word of that pipe ([`crate::UNREPORTED_OUTPUT`]) before it reads, and clears it when all
//! that it read was told. The worker asks the pipes first and the words then. In this order nothing is missed: where the
//! pipe is empty, the reader had set the word before it emptied it, and if the word is clear by now it has told. The other
//! way round the reader could set the word after the worker had looked at it and empty the pipe before the worker does.
//!
//! A task may write anything into these words. A word that is set for no reason costs a marker after each attempt until the
//! reader clears it; one that is cleared too early, what was the case without it: a line under the name of another.

use crate::AttemptId;

/// What opens and closes a marker: ASCII's record separator.
const SEPARATOR: u8 = 0x1e;
/// The longest number of an attempt.
const MAX_DIGITS: usize = 20;

/// The marker that ends the output of an attempt.
pub fn end_of_attempt(token: &str, attempt: AttemptId) -> Vec<u8> {
    format!("\x1e{token}:{}\x1e", attempt.0).into_bytes()
}

/// A piece of a worker's output.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes that were printed.
    Text(Vec<u8>),
    /// The output of this attempt ends here.
    End(AttemptId),
}

/// Takes a worker's output apart again, in whatever portions it arrives.
#[derive(Debug)]
pub struct Splitter {
    opening: Vec<u8>,
    held: Vec<u8>,
}

impl Splitter {
    /// For a worker whose markers hold this word.
    pub fn new(token: &str) -> Splitter {
        Splitter { opening: format!("\x1e{token}:").into_bytes(), held: Vec::new() }
    }

    /// What the next bytes of the stream are; the beginning of what may become a marker is held back.
    pub fn split(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        self.held.extend_from_slice(bytes);
        let mut text = 0;
        let mut position = 0;
        while let Some(offset) = self.held[position..].iter().position(|&byte| byte == SEPARATOR) {
            position += offset;
            match self.marker_at(position) {
                Found::Marker { attempt, length } => {
                    push_text(&mut pieces, &self.held[text..position]);
                    pieces.push(Piece::End(attempt));
                    position += length;
                    text = position;
                }
                Found::Text => position += 1,
                Found::Unfinished => {
                    push_text(&mut pieces, &self.held[text..position]);
                    self.held.drain(..position);
                    return pieces;
                }
            }
        }
        push_text(&mut pieces, &self.held[text..]);
        self.held.clear();
        pieces
    }

    /// Whether something is held back.
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// What is held back, when the stream has ended.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    fn marker_at(&self, position: usize) -> Found {
        let here = &self.held[position..];
        let common = here.len().min(self.opening.len());
        if here[..common] != self.opening[..common] {
            return Found::Text;
        }
        let number = &here[common..];
        match number.iter().position(|byte| !byte.is_ascii_digit()) {
            Some(digits) if number[digits] == SEPARATOR => {
                let text = std::str::from_utf8(&number[..digits]).unwrap_or_default();
                match text.parse() {
                    Ok(attempt) => Found::Marker { attempt: AttemptId(attempt), length: common + digits + 1 },
                    Err(_) => Found::Text,
                }
            }
            None if number.len() <= MAX_DIGITS => Found::Unfinished,
            _ => Found::Text,
        }
    }
}

enum Found {
    Marker { attempt: AttemptId, length: usize },
    Text,
    Unfinished,
}

fn push_text(pieces: &mut Vec<Piece>, text: &[u8]) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_vec()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOKEN: &str = "4bf1";

    fn stream(parts: &[(Vec<u8>, u64)]) -> Vec<u8> {
        parts
            .iter()
            .flat_map(|(text, attempt)| [text.clone(), end_of_attempt(TOKEN, AttemptId(*attempt))].concat())
            .collect()
    }

    /// The output of each attempt, whatever the pieces.
    fn by_attempt(pieces: Vec<Piece>) -> Vec<(Vec<u8>, u64)> {
        let mut attempts = vec![];
        let mut text = vec![];
        for piece in pieces {
            match piece {
                Piece::Text(more) => text.extend(more),
                Piece::End(attempt) => attempts.push((std::mem::take(&mut text), attempt.0)),
            }
        }
        attempts
    }

    #[test]
    fn what_only_looks_like_a_marker_is_text() {
        for text in ["\x1e", "\x1e4bf1", "\x1e4bf2:1\x1e", "\x1e4bf1:x\x1e", "\x1e4bf1:99999999999999999999999\x1e"] {
            let mut splitter = Splitter::new(TOKEN);
            let mut all = Vec::new();
            for piece in splitter.split(text.as_bytes()) {
                let Piece::Text(text) = piece else { panic!("{piece:?}") };
                all.extend(text);
            }
            all.extend(splitter.finish());
            assert_eq!(all, text.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn output_is_told_apart_however_it_is_cut(
            parts in proptest::collection::vec((proptest::collection::vec(prop_oneof![Just(SEPARATOR), Just(b'4'), any::<u8>()], 0..20), any::<u64>()), 0..5),
            size in 1usize..20,
        ) {
            let mut splitter = Splitter::new(TOKEN);
            let pieces = stream(&parts).chunks(size).flat_map(|chunk| splitter.split(chunk)).collect();
            prop_assert_eq!(by_attempt(pieces), parts);
        }
    }
}
