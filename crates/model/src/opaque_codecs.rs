//! The codecs of opaque values that a graph file may hold and Python tasks read.

/// The codec of Python's own types that are not plain, such as tuples. The worker converts them from and to pickles; the
/// view of the opaque value holds the elements.
pub const PYTHON_CODEC: &str = "python";

/// The codec of an object as a pickle, which only Python reads.
pub const PICKLE_CODEC: &str = "pickle";
