//! [`Source`]: a text that holds a graph, and what messages call it.

use std::path::Path;

use super::error::LoadResult;
use super::file::{self, Folders};

/// A text that holds a graph.
#[derive(Debug)]
pub(super) struct Source {
    /// The name of the text in messages.
    pub(super) name: String,
    pub(super) text: String,
    pub(super) syntax: Syntax,
    /// The folders in which the files that the text names are looked up.
    pub(super) folders: Folders,
}

/// The syntax of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    Json,
    Yaml,
}

/// The text of a graph file.
pub(super) fn source_of_file(path: &Path, folders: Folders) -> LoadResult<Source> {
    let text = file::read_text(path)?;
    Ok(Source { name: path.display().to_string(), syntax: syntax(path, &text), text, folders })
}

/// The syntax of a file, by the extension of its name. A file with any other extension is JSON if it begins like JSON.
pub(super) fn syntax(path: &Path, text: &str) -> Syntax {
    let extension = path.extension().unwrap_or_default();
    let is = |wanted: &str| extension.eq_ignore_ascii_case(wanted);
    let like_json = || matches!(text.trim_start().bytes().next(), None | Some(b'{' | b'['));
    if is("json") || !(is("yml") || is("yaml")) && like_json() { Syntax::Json } else { Syntax::Yaml }
}
