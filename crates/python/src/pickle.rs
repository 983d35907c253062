//! The part of Python's pickle format in which a worker and its interpreter exchange values. An object that only Python
//! understands is a pickle inside the pickle, which Rust does not read.
//!
//! Other readers of pickles lose the order of a `dict`, and copy a shared part each time that the pickle refers to it, so
//! that a few bytes can take any amount of memory. This reader accepts only what the interpreter's side writes, refuses
//! everything else, and limits the memory of the values.

mod builtin_types;
mod read;
mod value;
mod write;
mod write_builtin;

pub(crate) use self::value::Pickled;
pub(crate) use self::write::PickleWriter;

/// The codec of an object whose type is defined in a file, which Python must load first: a pickle of the path of the file
/// and of the object's pickle.
pub(super) const PICKLE_WITH_FILE: &str = "pickle with file";
/// The codec of an object with out-of-band buffers: a pickle of the path of that file or `None`, of the positions at which
/// the object's pickle leaves out bytes, and of the object's pickle. The buffers of the opaque value hold these bytes.
pub(super) const PICKLE_IN_PARTS: &str = "pickle in parts";
/// The codec of an exception that a task raised, together with its traceback.
pub(super) const EXCEPTION: &str = "exception";

#[cfg(test)]
mod tests;

/// The operations of protocol 4 that plain values need, by their names in Python's `pickletools`.
mod op {
    pub(super) const PROTO: u8 = 0x80;
    pub(super) const FRAME: u8 = 0x95;
    pub(super) const STOP: u8 = b'.';
    pub(super) const MARK: u8 = b'(';
    pub(super) const POP: u8 = b'0';
    pub(super) const POP_MARK: u8 = b'1';
    pub(super) const MEMOIZE: u8 = 0x94;
    pub(super) const BINGET: u8 = b'h';
    pub(super) const LONG_BINGET: u8 = b'j';

    pub(super) const NONE: u8 = b'N';
    pub(super) const NEWTRUE: u8 = 0x88;
    pub(super) const NEWFALSE: u8 = 0x89;
    pub(super) const BININT: u8 = b'J';
    pub(super) const BININT1: u8 = b'K';
    pub(super) const BININT2: u8 = b'M';
    pub(super) const LONG1: u8 = 0x8a;
    pub(super) const LONG4: u8 = 0x8b;
    pub(super) const BINFLOAT: u8 = b'G';
    pub(super) const SHORT_BINUNICODE: u8 = 0x8c;
    pub(super) const BINUNICODE: u8 = b'X';
    pub(super) const BINUNICODE8: u8 = 0x8d;
    pub(super) const SHORT_BINBYTES: u8 = b'C';
    pub(super) const BINBYTES: u8 = b'B';
    pub(super) const BINBYTES8: u8 = 0x8e;

    pub(super) const EMPTY_LIST: u8 = b']';
    pub(super) const APPEND: u8 = b'a';
    pub(super) const APPENDS: u8 = b'e';
    pub(super) const EMPTY_TUPLE: u8 = b')';
    pub(super) const TUPLE1: u8 = 0x85;
    pub(super) const TUPLE2: u8 = 0x86;
    pub(super) const TUPLE3: u8 = 0x87;
    pub(super) const TUPLE: u8 = b't';
    pub(super) const EMPTY_DICT: u8 = b'}';
    pub(super) const SETITEM: u8 = b's';
    pub(super) const SETITEMS: u8 = b'u';

    pub(super) const EMPTY_SET: u8 = 0x8f;
    pub(super) const ADDITEMS: u8 = 0x90;
    pub(super) const FROZENSET: u8 = 0x91;
    pub(super) const STACK_GLOBAL: u8 = 0x93;
    pub(super) const REDUCE: u8 = b'R';
    pub(super) const BINPERSID: u8 = b'Q';
}
