//! [`Source`]: a text that holds a graph, and what messages call it.

use std::path::Path;

use super::error::LoadResult;
use super::file::{self, Folders};

/// A text that holds a graph.
#[derive(Debug)]
pub(super) struct Source {
    /// What messages call it.
    pub(super) name: String,
    pub(super) text: String,
    pub(super) syntax: Syntax,
    /// Where the files that it names are looked up.
    pub(super) folders: Folders,
}

/// What a text is written in.
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

/// What a file is written in, by its name; a file of any other name is JSON if it begins like it.
pub(super) fn syntax(path: &Path, text: &str) -> Syntax {
    let extension = path.extension().unwrap_or_default();
    let is = |wanted: &str| extension.eq_ignore_ascii_case(wanted);
    let like_json = || matches!(text.trim_start().bytes().next(), None | Some(b'{' | b'['));
    if is("json") || !(is("yml") || is("yaml")) && like_json() { Syntax::Json } else { Syntax::Yaml }
}
