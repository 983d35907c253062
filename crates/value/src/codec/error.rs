//! [`CodecError`], and the depth beyond which a value is refused.

/// How many levels of lists and maps a value may nest: more is refused wherever a value is encoded, decoded, parsed or
/// converted, because the stack of a recursive decoder can overflow, which nothing can catch.
///
/// A list of numbers has one level, a list of lists of numbers two, a number none: 128 containers inside one another
/// are accepted, whatever the innermost one holds, and 129 are refused, even if the innermost one is empty. For that many
/// levels everything in this crate gets by with 1 MiB of stack, and with 256 KiB when optimised.
pub const MAX_DEPTH: usize = 128;

/// Why a value could not be encoded or decoded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The value nests deeper than [`MAX_DEPTH`].
    #[error("the value nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// The bytes are not what the codec writes.
    #[error("the bytes are no encoded value: {0}")]
    Malformed(String),
    /// Data has an entry under a position and one under the same number as a name, so it can't become a map.
    #[error("the data has both the position {0} and the name {0:?}, which are one key of a map: rename one")]
    KeyTwice(String),
}
