//! [`POOL_NAMES`]: what users call the kinds of pool.

/// The names of the kinds of pool, in the order in which they are listed to users (`parity.md` P97).
pub const POOL_NAMES: [&str; 7] =
    ["thread", "process", "ndprocess", "multiprocessing", "ndmultiprocessing", "billiard", "gevent"];
