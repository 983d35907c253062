//! The worker program as a library.
