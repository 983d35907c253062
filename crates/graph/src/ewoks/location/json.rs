//! The position of a value in a JSON text. It is computed only for an error, by a second pass over the text.

use super::super::error::Position;
use super::path::PathSegment;

/// The position of the value that this path leads to in a valid JSON text. A path that leads nowhere has the position
/// of the last value on it.
pub(super) fn position(text: &str, steps: &[PathSegment]) -> Position {
    let mut cursor = Cursor { bytes: text.as_bytes(), at: 0 };
    cursor.skip_space();
    let mut found = cursor.at;
    for step in steps {
        let inside = match step {
            PathSegment::Key(name) => cursor.enter_object(name),
            PathSegment::Index(index) => cursor.enter_list(*index),
        };
        if !inside {
            break;
        }
        found = cursor.at;
    }
    Position::of_offset(text, found)
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.byte().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Skips this byte and the space after it, if it is the next byte. Returns whether it was.
    fn take(&mut self, wanted: u8) -> bool {
        let found = self.byte() == Some(wanted);
        if found {
            self.at += 1;
            self.skip_space();
        }
        found
    }

    /// Moves to the value of this name. Returns whether the object has one.
    fn enter_object(&mut self, name: &str) -> bool {
        if !self.take(b'{') {
            return false;
        }
        while self.byte() == Some(b'"') {
            let start = self.at;
            self.skip_string();
            let is_it = &self.bytes[start + 1..self.at.saturating_sub(1).max(start + 1)] == name.as_bytes();
            self.skip_space();
            if !self.take(b':') {
                return false;
            }
            if is_it {
                return true;
            }
            self.skip_value();
            if !self.take(b',') {
                return false;
            }
        }
        false
    }

    /// Moves to the item at this index. Returns whether the list has one.
    fn enter_list(&mut self, index: usize) -> bool {
        if !self.take(b'[') || self.byte() == Some(b']') {
            return false;
        }
        (0..index).all(|_| {
            self.skip_value();
            self.take(b',')
        })
    }

    fn skip_value(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.byte() {
            match byte {
                b'"' => self.skip_string(),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' | b',' if depth == 0 => break,
                b'}' | b']' => {
                    depth -= 1;
                    self.at += 1;
                }
                _ => self.at += 1,
            }
            if depth == 0 && matches!(byte, b'"' | b'}' | b']') {
                break;
            }
        }
        self.skip_space();
    }

    fn skip_string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.byte() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                return;
            }
        }
        self.at = self.at.min(self.bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, steps: &[PathSegment]) -> (usize, usize) {
        let Position { line, column } = position(text, steps);
        (line, column)
    }

    #[test]
    fn steps_lead_to_the_value_they_name() {
        let text = "{\n  \"a\": [1, {\"x\": \"]\\\"}\"}, [[], {}], 7],\n  \"nodes\" : [ true ]\n}";
        assert_eq!(found(text, &[]), (1, 1));
        assert_eq!(found(text, &[PathSegment::Key("a")]), (2, 8));
        assert_eq!(found(text, &[PathSegment::Key("a"), PathSegment::Index(1), PathSegment::Key("x")]), (2, 18));
        assert_eq!(found(text, &[PathSegment::Key("a"), PathSegment::Index(3)]), (2, 37));
        assert_eq!(found(text, &[PathSegment::Key("nodes"), PathSegment::Index(0)]), (3, 15));
    }

    #[test]
    fn steps_that_lead_nowhere_end_at_the_last_value_they_lead_to() {
        let text = "{\"a\": {\"b\": []}}";
        assert_eq!(found(text, &[PathSegment::Key("a"), PathSegment::Key("c"), PathSegment::Index(0)]), (1, 7));
        assert_eq!(found(text, &[PathSegment::Key("a"), PathSegment::Key("b"), PathSegment::Index(0)]), (1, 13));
        assert_eq!(found("[1]", &[PathSegment::Key("a")]), (1, 1));
        assert_eq!(found("[1]", &[PathSegment::Index(4)]), (1, 1));
    }

    #[test]
    fn text_that_ends_anywhere_is_never_read_past() {
        let text = "{\"a\": [1, {\"x\": \"\\\"}\"}]}";
        for end in 0..=text.len() {
            position(&text[..end], &[PathSegment::Key("a"), PathSegment::Index(1), PathSegment::Key("x")]);
        }
    }
}
