//! [`CodecError`], and the depth beyond which a value is refused.

/// How many levels of lists and maps a value may nest.
///
/// A deeper value is refused wherever a value is encoded, decoded, parsed or converted: these recurse, and no program
/// can catch the overflow of its stack.
///
/// A number has no level, a list of numbers has one, a list of lists of numbers has two. 128 containers inside one
/// another are accepted, whatever the innermost one holds; 129 are refused, even if the innermost one is empty. For 128
/// levels everything in this crate needs at most 1 MiB of stack, and 256 KiB when optimised.
pub const MAX_DEPTH: usize = 128;

/// Why a value could not be encoded or decoded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The value nests deeper than [`MAX_DEPTH`].
    #[error("the value nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// The bytes are not what the codec writes; the text says what is wrong, and at which byte.
    #[error("the bytes are no encoded value: {0}")]
    Malformed(String),
    /// The data can't become a map, because a position and a name in it are the same digits.
    #[error("the data has both the position {0} and the name {0:?}, which are one key of a map: rename one")]
    KeyTwice(String),
}
