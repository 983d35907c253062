//! Python interpreters of versions that pushflow refuses because they are too old.

use std::path::{Path, PathBuf};

use crate::binaries::python;
use crate::folder::Folder;

/// Old versions that `pyenv` may have installed.
const INSTALLED: [&str; 3] = ["2.7.18", "3.6.15", "3.7.16"];

/// Interpreters that are too old, with their versions: a program in the folder that pretends to be one, and the
/// `INSTALLED` versions that exist on this machine.
pub fn too_old(folder: &Folder) -> Vec<(String, PathBuf)> {
    // The interpreter of the tests with another version number. It runs the source that follows `-c`.
    let pretends = format!(
        "#!{}
import sys
sys.version_info = (3, 7, 99, 'final', 0)
sys.version = '3.7.99 (pretended)'
_, option, source, *sys.argv[1:] = sys.argv
assert option == '-c'
exec(source)
",
        python().display()
    );
    let pretender = folder.write_program("python3", &pretends);
    let home = std::env::var("HOME").unwrap_or_default();
    let installed = INSTALLED.map(|version| (version.to_owned(), path(&home, version)));
    let there = installed.into_iter().filter(|(_, python)| python.exists());
    std::iter::once(("3.7.99".to_owned(), pretender)).chain(there).collect()
}

fn path(home: &str, version: &str) -> PathBuf {
    Path::new(home).join(format!(".pyenv/versions/{version}/bin/python"))
}
