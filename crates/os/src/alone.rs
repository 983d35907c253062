//! For tests that change what a whole process has, its limits say: each in a process of its own.

use std::process::Command;

/// The variable that has the name of the test in that process.
const TEST: &str = "PUSHFLOW_TEST_ALONE";

/// Whether this is the process of this test. If not, it is started with the test, which is named with its modules, and
/// has ended well.
///
/// # Panics
/// When the test has failed there.
pub fn is_alone(test: &str) -> bool {
    if std::env::var_os(TEST).is_some_and(|alone| alone == test) {
        return true;
    }
    let program = std::env::current_exe().expect("the program is there");
    let child = Command::new(program).args(["--exact", test]).env(TEST, test).output().expect("it can be started");
    assert!(child.status.success(), "{child:?}");
    let ran = String::from_utf8_lossy(&child.stdout).contains("1 passed");
    assert!(ran, "there is no test {test:?}");
    false
}
