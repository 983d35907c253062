//! [`LastLines`]: the last lines of a worker's standard error, which the report of a failure quotes.

use std::collections::VecDeque;

/// How many lines are kept.
const MAX_LINES: usize = 20;
/// How many bytes of one line are kept.
const MAX_LINE_BYTES: usize = 1000;

/// The last lines of a stream; earlier lines are dropped.
#[derive(Clone, Debug, Default)]
pub(super) struct LastLines {
    lines: VecDeque<Vec<u8>>,
    /// Whether the last line is complete.
    complete: bool,
}

impl LastLines {
    /// Adds text that was printed after the text before.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            if self.complete || self.lines.is_empty() {
                if self.lines.len() == MAX_LINES {
                    self.lines.pop_front();
                }
                self.lines.push_back(Vec::new());
            }
            if let Some(line) = self.lines.back_mut() {
                let room = MAX_LINE_BYTES.saturating_sub(line.len());
                line.extend_from_slice(&text[..text.len().min(room)]);
            }
            self.complete = text.len() < part.len();
        }
    }

    /// The lines as text, oldest first; what is no UTF-8 is replaced.
    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines.into_iter().map(|line| String::from_utf8_lossy(&line).into_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_however_they_arrive() {
        let mut lines = LastLines::default();
        for number in 0..100 {
            lines.push(format!("line {number}").as_bytes());
            lines.push(b"\n");
        }
        lines.push(b"unfinished");
        let lines = lines.into_lines();
        assert_eq!(lines.len(), MAX_LINES);
        assert_eq!(lines[0], "line 81");
        assert_eq!(lines[19], "unfinished");
    }

    #[test]
    fn a_line_without_an_end_takes_no_more_than_its_room() {
        let mut lines = LastLines::default();
        for _ in 0..1000 {
            lines.push(&[b'x'; 1000]);
        }
        assert_eq!(lines.into_lines(), ["x".repeat(MAX_LINE_BYTES)]);
    }
}
