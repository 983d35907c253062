//! Checks of `docs/parity.md`: each row is there once, and each test that it names exists.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The rows that must be there.
fn rows() -> impl Iterator<Item = u32> {
    (1..=116).chain(139..=156)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/parity.md")).unwrap()
}

/// The Rust files below a folder, with their text.
fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path.with_extension("").to_str().unwrap().to_owned(), text));
        }
    }
}

/// The texts in backticks that have the form of a test's path.
fn named_tests(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let paths = line.split('`').skip(1).step_by(2).filter_map(|text| text.rsplit_once("::"));
    paths.filter(|(module, name)| *name != "NAME" && module.starts_with(char::is_lowercase))
}

#[test]
fn each_test_that_is_named_exists() {
    let mut files = Vec::new();
    ["crates", "scheduler", "worker", "tests"].iter().for_each(|folder| sources(&root().join(folder), &mut files));
    let exists = |module: &str, name: &str| {
        let function = format!("fn {name}(");
        files.iter().any(|(path, text)| path.ends_with(&format!("/{module}")) && text.contains(&function))
    };
    let page = page();
    let missing: Vec<_> = page.lines().flat_map(named_tests).filter(|(module, name)| !exists(module, name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(page.lines().flat_map(named_tests).count() > 80);
}

#[test]
fn each_row_is_there_once_and_has_a_test_or_a_reason() {
    let mut seen: BTreeMap<u32, u32> = BTreeMap::new();
    for line in page().lines().filter(|line| line.starts_with("| P")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, row, ours, note, tests, _] = cells[..] else { panic!("{line:?} has not four columns") };
        *seen.entry(row[1..].parse().unwrap()).or_default() += 1;
        assert!(["same", "repaired", "not applicable", "later"].contains(&ours), "{line}");
        let tested = named_tests(tests).next().is_some();
        assert!(tested || (!note.is_empty() && ["not applicable", "later"].contains(&ours)), "{line}");
    }
    assert_eq!(seen, rows().map(|row| (row, 1)).collect());
}
