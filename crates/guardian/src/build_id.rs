//! [`BUILD`]: from which sources this program was built.

/// The build of this program: programs talk to each other only if they are of the same one.
pub const BUILD: &str = env!("PUSHFLOW_BUILD");
