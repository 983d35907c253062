//! The codecs of opaque values that a graph file may hold and Python tasks read.

/// Of Python's own types that are not plain, which the worker takes apart and puts together: its view has the elements.
pub const PYTHON_CODEC: &str = "python";

/// Of an object as a pickle, which only Python looks into.
pub const PICKLE_CODEC: &str = "pickle";
