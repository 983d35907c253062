//! Runs a test in a process of its own, for tests that change the state of a whole process, such as its resource
//! limits.

use std::process::Command;

/// The environment variable that holds the name of the test for which a process was started.
const TEST: &str = "PUSHFLOW_ISOLATED_TEST";

/// Whether the calling process was started for this test alone.
///
/// If not, the function starts such a process, waits until it has run the test, and returns `false`: the caller then
/// returns. `test` is the name of the test with the path of its modules, as `cargo test` prints it.
///
/// # Panics
/// When the test fails in the process of its own, or no test has this name.
pub fn is_isolated(test: &str) -> bool {
    if std::env::var_os(TEST).is_some_and(|isolated| isolated == test) {
        return true;
    }
    let program = std::env::current_exe().expect("the test program is a file");
    let child = Command::new(program).args(["--exact", test]).env(TEST, test).output().expect("the program starts");
    assert!(child.status.success(), "{child:?}");
    let ran = String::from_utf8_lossy(&child.stdout).contains("1 passed");
    assert!(ran, "there is no test {test:?}");
    false
}
