//! Python libraries that some tests need. If the interpreter of the tests lacks one, such a test prints that it was
//! skipped; in CI it fails.

use std::process::{Command, Stdio};

use crate::binaries::python;

/// Whether the interpreter of the tests can import a module.
///
/// # Panics
/// In CI, when it can't.
pub fn is_there(module: &str) -> bool {
    let imported = Command::new(python()).args(["-c", &format!("import {module}")]).stderr(Stdio::null()).status();
    if imported.is_ok_and(|status| status.success()) {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "{module} is needed: install it for the interpreter of the tests");
    eprintln!("not tested: the interpreter has no {module}");
    false
}
