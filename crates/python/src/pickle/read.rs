//! Reads pickles into nodes. It trusts no input: none makes it panic, recurse, or take memory out of proportion.

use std::borrow::Cow;

use bytes::Bytes;

use super::op;
use crate::buffers::OutOfBand;

/// Why bytes are no pickle of the kind that the interpreter's side writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// The pickle ends too early.
    #[error("it ends too early")]
    Truncated,
    /// The pickle has an operation that no value needs.
    #[error("operation {0:#04x} is not expected")]
    Unexpected(u8),
    /// The pickle has an operation that does not fit the operations before it.
    #[error("operation {0:#04x} does not fit what is before it")]
    Misplaced(u8),
    /// An out-of-band buffer has another length than the pickle says.
    #[error("a part of it has {0} bytes")]
    WrongLength(usize),
}

/// Bytes of a pickle, or of one of its out-of-band buffers.
#[derive(Clone, Copy)]
pub(super) struct Span<'a> {
    pub(super) bytes: &'a [u8],
    elsewhere: Option<&'a Bytes>,
}

impl Span<'_> {
    /// The bytes; copied unless they are an out-of-band buffer.
    pub(super) fn to_bytes(self) -> Bytes {
        self.elsewhere.map_or_else(|| Bytes::copy_from_slice(self.bytes), Bytes::clone)
    }

    /// How much memory [`Span::to_bytes`] takes.
    pub(super) fn copied(self) -> usize {
        if self.elsewhere.is_some() { 0 } else { self.bytes.len() }
    }
}

/// The index of a node in [`Nodes::all`].
pub(super) type Index = usize;

/// One object that a pickle makes.
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(&'a str),
    Bytes(Span<'a>),
    List(Vec<Index>),
    Map(Vec<(Index, Index)>),
    /// An integer of more than 64 bits: its digits in base 256, lowest first, in two's complement.
    LargeInt(&'a [u8]),
    /// A text with lone surrogates, which are encoded as characters.
    SurrogateStr(&'a [u8]),
    ByteArray(Span<'a>),
    Tuple(Vec<Index>),
    Set(Vec<Index>),
    FrozenSet(Vec<Index>),
    /// One of Python's built-in types, by its name.
    Type(&'a str),
    /// An object that only Python understands.
    Object {
        codec: &'a str,
        type_name: &'a str,
        text: &'a str,
        pickle: Span<'a>,
        buffers: Cow<'a, [Bytes]>,
        view: Option<Index>,
    },
}

/// The objects that a pickle makes, at most one for each of its bytes. They refer to each other by index, so they may share
/// parts or contain themselves.
pub(super) struct Nodes<'a> {
    pub(super) all: Vec<Node<'a>>,
    /// The object that the pickle is about.
    pub(super) root: Index,
}

impl<'a> Nodes<'a> {
    /// Reads one pickle that is all of `bytes`, but for its out-of-band buffers.
    pub(super) fn read(bytes: &'a [u8], out_of_band: &'a OutOfBand) -> Result<Self, Malformed> {
        let (nodes, stack, marks, memo) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut reader = Reader { input: bytes, length: bytes.len(), out_of_band, nodes, stack, marks, memo };
        let root = reader.run()?;
        Ok(Nodes { all: reader.nodes, root })
    }
}

/// The machine that pickles are programs for.
struct Reader<'a> {
    /// The rest of the input; `length` is the length of the whole input.
    input: &'a [u8],
    length: usize,
    out_of_band: &'a OutOfBand,
    nodes: Vec<Node<'a>>,
    stack: Vec<Index>,
    marks: Vec<usize>,
    memo: Vec<Index>,
}

impl<'a> Reader<'a> {
    fn run(&mut self) -> Result<Index, Malformed> {
        loop {
            let operation = self.byte()?;
            if operation == op::STOP {
                break;
            }
            self.step(operation)?;
        }
        match (self.stack.as_slice(), self.marks.as_slice(), self.input) {
            ([root], [], []) => Ok(*root),
            _ => Err(Malformed::Misplaced(op::STOP)),
        }
    }

    fn step(&mut self, operation: u8) -> Result<(), Malformed> {
        match operation {
            op::PROTO => self.take(1).map(drop),
            op::FRAME => self.take(8).map(drop),
            op::MARK => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            op::POP => self.pop(operation).map(drop),
            op::POP_MARK => self.pop_to_mark(operation).map(drop),
            op::MEMOIZE => {
                self.memo.push(*self.stack.last().ok_or(Malformed::Misplaced(operation))?);
                Ok(())
            }
            op::BINGET => self.length(1).and_then(|index| self.recall(index, operation)),
            op::LONG_BINGET => self.length(4).and_then(|index| self.recall(index, operation)),
            op::REDUCE => self.reduce(),
            op::BINPERSID => self.remembered_object(),
            op::APPEND | op::APPENDS | op::SETITEM | op::SETITEMS | op::ADDITEMS => self.fill(operation),
            _ => self.node(operation).map(|node| self.push(node)),
        }
    }

    /// Executes an operation that makes a new object.
    fn node(&mut self, operation: u8) -> Result<Node<'a>, Malformed> {
        Ok(match operation {
            op::NONE => Node::Null,
            op::NEWTRUE => Node::Bool(true),
            op::NEWFALSE => Node::Bool(false),
            op::BININT1 => Node::Int(self.byte()?.into()),
            op::BININT2 => Node::Int(u16::from_le_bytes(self.array()?).into()),
            op::BININT => Node::Int(i32::from_le_bytes(self.array()?).into()),
            op::LONG1 => self.integer(1)?,
            op::LONG4 => self.integer(4)?,
            op::BINFLOAT => Node::Float(f64::from_be_bytes(self.array()?)),
            op::SHORT_BINUNICODE => self.text(1)?,
            op::BINUNICODE => self.text(4)?,
            op::BINUNICODE8 => self.text(8)?,
            op::SHORT_BINBYTES => Node::Bytes(self.sized(1)?),
            op::BINBYTES => Node::Bytes(self.sized(4)?),
            op::BINBYTES8 => Node::Bytes(self.sized(8)?),
            op::EMPTY_LIST => Node::List(Vec::new()),
            op::EMPTY_TUPLE => Node::Tuple(Vec::new()),
            op::TUPLE1 => Node::Tuple(self.pop_many(1, operation)?),
            op::TUPLE2 => Node::Tuple(self.pop_many(2, operation)?),
            op::TUPLE3 => Node::Tuple(self.pop_many(3, operation)?),
            op::TUPLE => Node::Tuple(self.pop_to_mark(operation)?),
            op::EMPTY_DICT => Node::Map(Vec::new()),
            op::EMPTY_SET => Node::Set(Vec::new()),
            op::FROZENSET => Node::FrozenSet(self.pop_to_mark(operation)?),
            op::STACK_GLOBAL => self.builtin()?,
            unexpected => return Err(Malformed::Unexpected(unexpected)),
        })
    }

    /// Moves the top of the stack, or everything above the mark, into the container below.
    fn fill(&mut self, operation: u8) -> Result<(), Malformed> {
        let items = match operation {
            op::APPEND => self.pop_many(1, operation)?,
            op::SETITEM => self.pop_many(2, operation)?,
            _ => self.pop_to_mark(operation)?,
        };
        let container = self.stack.last().map(|index| &mut self.nodes[*index]);
        match (operation, container) {
            (op::APPEND | op::APPENDS, Some(Node::List(list))) => list.extend(items),
            (op::SETITEM | op::SETITEMS, Some(Node::Map(map))) if items.len().is_multiple_of(2) => {
                map.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
            }
            (op::ADDITEMS, Some(Node::Set(set))) => set.extend(items),
            _ => return Err(Malformed::Misplaced(operation)),
        }
        Ok(())
    }

    /// Reads a type that is the function of a call.
    fn builtin(&mut self) -> Result<Node<'a>, Malformed> {
        let name = self.pop_many(2, op::STACK_GLOBAL)?;
        match (&self.nodes[name[0]], &self.nodes[name[1]]) {
            (Node::Str("builtins"), Node::Str(name @ ("str" | "bytearray"))) => Ok(Node::Type(name)),
            _ => Err(Malformed::Misplaced(op::STACK_GLOBAL)),
        }
    }

    /// Reads a call. The interpreter's side writes a call of `str` for an object that only Python understands. Python itself
    /// writes a call of `bytearray` for a `bytearray`, with its content unless that is empty.
    fn reduce(&mut self) -> Result<(), Malformed> {
        let misplaced = Malformed::Misplaced(op::REDUCE);
        let call = self.pop_many(2, op::REDUCE)?;
        let (Node::Type(name), Node::Tuple(arguments)) = (&self.nodes[call[0]], &self.nodes[call[1]]) else {
            return Err(misplaced);
        };
        let node = match (*name, arguments.as_slice()) {
            ("bytearray", []) => Some(Node::ByteArray(Span { bytes: &[], elsewhere: None })),
            ("bytearray", [content]) => self.bytes_at(*content).map(Node::ByteArray),
            ("str", [codec, type_name, text, pickle, rest @ ..]) => {
                let (range, view) = match *rest {
                    [] => (None, None),
                    [view] => (None, Some(view)),
                    [first, count] => (Some((first, count)), None),
                    [first, count, view] => (Some((first, count)), Some(view)),
                    _ => return Err(misplaced),
                };
                let buffers = range.map_or(Some(&[][..]), |(first, count)| self.out_of_band_at(first, count));
                buffers.and_then(|buffers| self.object([*codec, *type_name, *text, *pickle], buffers.into(), view))
            }
            _ => None,
        };
        self.push(node.ok_or(misplaced)?);
        Ok(())
    }

    /// Reads an object that [`super::PickleWriter`] has written. That happens only for the keys of a dict, which this reader
    /// reads again.
    fn remembered_object(&mut self) -> Result<(), Malformed> {
        let misplaced = Malformed::Misplaced(op::BINPERSID);
        let top = self.pop(op::BINPERSID)?;
        let Node::Tuple(fields) = &self.nodes[top] else { return Err(misplaced) };
        let object = match *fields.as_slice() {
            [place, codec, type_name, pickle, ref buffers @ ..] => {
                let buffers = buffers.iter().map(|buffer| Some(self.bytes_at(*buffer)?.to_bytes()));
                let buffers: Option<Vec<Bytes>> = buffers.collect();
                buffers.and_then(|buffers| self.object([codec, type_name, place, pickle], buffers.into(), None))
            }
            _ => None,
        };
        self.push(object.ok_or(misplaced)?);
        Ok(())
    }

    fn object(
        &self,
        [codec, type_name, text, pickle]: [Index; 4],
        buffers: Cow<'a, [Bytes]>,
        view: Option<Index>,
    ) -> Option<Node<'a>> {
        Some(Node::Object {
            codec: self.text_at(codec)?,
            type_name: self.text_at(type_name)?,
            text: self.text_at(text)?,
            pickle: self.bytes_at(pickle)?,
            buffers,
            view,
        })
    }

    fn text_at(&self, index: Index) -> Option<&'a str> {
        match self.nodes[index] {
            Node::Str(text) => Some(text),
            _ => None,
        }
    }

    fn bytes_at(&self, index: Index) -> Option<Span<'a>> {
        match self.nodes[index] {
            Node::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn out_of_band_at(&self, first: Index, count: Index) -> Option<&'a [Bytes]> {
        match (&self.nodes[first], &self.nodes[count]) {
            (Node::Int(first), Node::Int(count)) => self.out_of_band.range(*first, *count),
            _ => None,
        }
    }

    fn push(&mut self, node: Node<'a>) {
        self.nodes.push(node);
        self.stack.push(self.nodes.len() - 1);
    }

    fn recall(&mut self, index: usize, operation: u8) -> Result<(), Malformed> {
        self.stack.push(*self.memo.get(index).ok_or(Malformed::Misplaced(operation))?);
        Ok(())
    }

    fn pop(&mut self, operation: u8) -> Result<Index, Malformed> {
        Ok(self.pop_many(1, operation)?[0])
    }

    /// Takes objects off the stack, but none from below the last mark.
    fn pop_many(&mut self, count: usize, operation: u8) -> Result<Vec<Index>, Malformed> {
        let bottom = self.marks.last().copied().unwrap_or(0);
        let start = self.stack.len().checked_sub(count).filter(|start| *start >= bottom);
        Ok(self.stack.split_off(start.ok_or(Malformed::Misplaced(operation))?))
    }

    fn pop_to_mark(&mut self, operation: u8) -> Result<Vec<Index>, Malformed> {
        let mark = self.marks.pop().ok_or(Malformed::Misplaced(operation))?;
        Ok(self.stack.split_off(mark))
    }

    fn integer(&mut self, width: usize) -> Result<Node<'a>, Malformed> {
        let digits = self.sized(width)?.bytes;
        let Some(last) = digits.last() else { return Ok(Node::Int(0)) };
        if digits.len() > 8 {
            return Ok(Node::LargeInt(digits));
        }
        let mut bytes = [if last & 0x80 == 0 { 0 } else { 0xff }; 8];
        bytes[..digits.len()].copy_from_slice(digits);
        Ok(Node::Int(i64::from_le_bytes(bytes)))
    }

    /// Reads a text. Python encodes lone surrogates as characters, which is not UTF-8.
    fn text(&mut self, width: usize) -> Result<Node<'a>, Malformed> {
        let bytes = self.sized(width)?.bytes;
        Ok(std::str::from_utf8(bytes).map_or(Node::SurrogateStr(bytes), Node::Str))
    }

    /// Reads bytes behind their length. They may be an out-of-band buffer that the pickle leaves out here.
    fn sized(&mut self, width: usize) -> Result<Span<'a>, Malformed> {
        let length = self.length(width)?;
        match self.out_of_band.at_position(self.length - self.input.len()) {
            Some(part) if part.len() == length => Ok(Span { bytes: part, elsewhere: Some(part) }),
            Some(part) => Err(Malformed::WrongLength(part.len())),
            None => Ok(Span { bytes: self.take(length)?, elsewhere: None }),
        }
    }

    fn length(&mut self, width: usize) -> Result<usize, Malformed> {
        let mut bytes = [0; 8];
        bytes[..width].copy_from_slice(self.take(width)?);
        usize::try_from(u64::from_le_bytes(bytes)).map_err(|_| Malformed::Truncated)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        Ok(self.take(N)?.try_into().expect("as many bytes were taken"))
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.input.split_at_checked(count).ok_or(Malformed::Truncated)?;
        self.input = rest;
        Ok(taken)
    }
}
