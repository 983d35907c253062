//! The `pushflow` command.
fn main() {}
