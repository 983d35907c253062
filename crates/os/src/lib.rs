//! What pushflow asks of Linux: the only crate with unsafe code.
