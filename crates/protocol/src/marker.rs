//! Which output of a worker belongs to which attempt.
//!
//! A worker's standard output and error are pipes whose read ends the scheduler holds. So output that the worker wrote
//! before it died is not lost with it, as messages with output would be. Two things say which attempt has written it:
//!
//! - *The shared word* [`CURRENT_ATTEMPT`](crate::CURRENT_ATTEMPT): the worker writes the number of an attempt there
//!   before the attempt begins.
//! - *The marker*: the worker writes one into both pipes when an attempt has failed, or has ended with some of its
//!   output in transit. Output before the marker was written during that attempt, or by processes that earlier
//!   attempts left running. A marker holds a token made anew for each pool, so that no task writes a marker by
//!   accident.
//!
//! # Attempts without a marker
//! Two writes and their wake-ups would be most of the cost of a small task. So there is no marker after an attempt
//! whose output the scheduler's reader thread has read and reported while the attempt ran.
//!
//! When the reader thread has read something, it first looks at the shared word, and then reads everything that is in
//! the pipe by then. If that second part holds no marker, the first part belongs to the attempt of the word. If the
//! first part belonged to an older attempt, the marker of that one would have been in the pipe before the word was
//! written.
//!
//! # Output in transit
//! Output is in transit until the reader thread has reported it under its attempt. The worker's reply must not
//! overtake it. The reader thread sets a shared word of the pipe ([`UNREPORTED_OUTPUT`](crate::UNREPORTED_OUTPUT))
//! before it reads, and clears the word when it has reported everything that it read. The worker checks the pipes
//! first, and the words second. In this order it misses nothing: where a pipe is empty, the reader thread had set the
//! word before it emptied the pipe, and if the word is clear by now, the reader thread has reported. In the other
//! order, the reader thread could set the word after the worker had checked it, and empty the pipe before the worker
//! checks that.
//!
//! A task may write anything into these words. A word that is set for no reason costs a marker after each attempt,
//! until the reader thread clears the word. A word that is cleared too early costs what it was made for: a line may be
//! reported under another attempt.

use pushflow_model::AttemptId;

/// The byte that opens and closes a marker: ASCII's record separator.
const SEPARATOR: u8 = 0x1e;
/// The most digits of an attempt's number.
const MAX_DIGITS: usize = 20;

/// The marker that ends the output of an attempt, for a pool with this token.
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

/// Splits the output of a worker at its markers, however the output is cut into portions.
#[derive(Debug)]
pub struct Splitter {
    opening: Vec<u8>,
    held: Vec<u8>,
}

impl Splitter {
    /// For a worker whose markers hold this token.
    pub fn new(token: &str) -> Splitter {
        Splitter { opening: format!("\x1e{token}:").into_bytes(), held: Vec::new() }
    }

    /// The pieces in the next bytes of the stream. Bytes at the end that may be the beginning of a marker are held
    /// back.
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

    /// Whether bytes are held back.
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// The bytes that are held back, when the stream has ended.
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

    /// The output of each attempt.
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
    fn text_that_only_looks_like_a_marker_is_text() {
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
        fn output_is_split_however_it_is_cut(
            parts in proptest::collection::vec((proptest::collection::vec(prop_oneof![Just(SEPARATOR), Just(b'4'), any::<u8>()], 0..20), any::<u64>()), 0..5),
            size in 1usize..20,
        ) {
            let mut splitter = Splitter::new(TOKEN);
            let pieces = stream(&parts).chunks(size).flat_map(|chunk| splitter.split(chunk)).collect();
            prop_assert_eq!(by_attempt(pieces), parts);
        }
    }
}
