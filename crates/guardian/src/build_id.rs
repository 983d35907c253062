//! [`BUILD`]: the id of the sources from which this program was built.

/// The build of this program. A scheduler uses only guardians and workers of the same build.
pub const BUILD: &str = env!("PUSHFLOW_BUILD");
