//! The constants of the wire form: bincode's configuration, the tags, and which bytes are long.

/// An outline leaves out bytes of more than this length.
pub const APART_ABOVE: usize = 16 * 1024;

pub const FORMAT: bincode::config::Configuration = bincode::config::standard();

/// The first byte of each encoded value.
pub mod tag {
    pub const NULL: u8 = 0;
    pub const BOOL: u8 = 1;
    pub const INT: u8 = 2;
    pub const FLOAT: u8 = 3;
    pub const STR: u8 = 4;
    pub const BYTES: u8 = 5;
    pub const LIST: u8 = 6;
    pub const MAP: u8 = 7;
    pub const OPAQUE: u8 = 8;
    /// An opaque value with buffers, or whose content is apart.
    pub const OPAQUE_IN_PARTS: u8 = 9;
    pub const BYTES_APART: u8 = 10;
}
