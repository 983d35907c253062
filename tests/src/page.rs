//! Pages of the documentation whose sections are results of tests.
//!
//! A section stands between `<!-- NAME -->` and `<!-- end of NAME -->`. A test asserts that the section is what the test
//! found. With `PUSHFLOW_WRITE_DOCS=1` the test writes the section instead.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// If this variable is set, tests write the sections instead of comparing them.
const WRITE: &str = "PUSHFLOW_WRITE_DOCS";

/// A Markdown table from its head and rows.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        assert_eq!(row.len(), head.len(), "{row:?}");
        writeln!(text, "| {} |", row.join(" | ")).expect("a String takes everything");
    }
    text
}

/// Asserts that a section of a page below `docs` has this text, or writes it.
///
/// # Panics
/// When the section has another text, or does not exist.
pub fn assert_section(page: &str, name: &str, text: &str) {
    // Two tests may write sections of one page at the same time.
    static WRITING: Mutex<()> = Mutex::new(());
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let whole = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let parts = whole.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?)));
    let (before, (found, after)) = parts.unwrap_or_else(|| panic!("docs/{page} has no section {name:?}"));
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, format!("{before}{begin}\n{text}\n{end}{after}")).expect("the page can be written");
    } else {
        let message =
            format!("docs/{page}, section {name:?}, says something else than what happened; {WRITE}=1 writes it");
        assert_eq!(found.trim(), text.trim(), "{message}");
    }
}
