//! Reading ewoks graph files (`ewoks_format.md`): JSON text in, a [`Graph`] out, or one sentence on what is wrong.
//!
//! The way of a file: `file.rs` gets its text, `read.rs` (with `fields.rs`, `items.rs` and `task.rs`) turns it into
//! nodes and links, `links.rs` merges parallel links, `conditions.rs`,
//! `required.rs` and `ends.rs` work out what the file leaves unsaid, `assemble.rs` makes the graph.
//!
//! Node ids become the names of actors. What this version does not support is refused by name, never ignored.
//! Attributes that the format does not know are information for people and other programs, and ignored, unless they look
//! like a slip in a name that it knows.

mod assemble;
mod conditions;
mod ends;
mod error;
mod fields;
mod file;
mod items;
mod links;
mod read;
mod required;
mod task;

use std::path::Path;

use pushflow_value::parse_json;

use crate::Graph;
use file::Folders;

pub use error::{LoadError, Place, Problem};

/// Reads a graph file in JSON. Relative file names in it are looked up in its own folder first.
///
/// # Errors
/// When the file can't be read, is no JSON, breaks a rule of the format or asks for what this version does not support.
pub fn load_file(path: &Path) -> Result<Graph, LoadError> {
    let loaded = file::read_text(path).and_then(|text| load(&text, &Folders::around(path)?));
    loaded.map_err(|problem| LoadError { file: path.display().to_string(), problem })
}

/// Reads a graph from JSON text. Relative file names in it are looked up in `base_folder` first; `name` is what messages
/// call the text.
///
/// ```
/// use std::path::Path;
/// use pushflow_graph::ewoks;
///
/// let text = r#"{"graph": {"id": "hello"},
///                "nodes": [{"id": "greet", "task_type": "ppfmethod", "task_identifier": "hello_task.run"}]}"#;
/// let graph = ewoks::load_str(text, Path::new("."), "hello.json")?;
/// assert!(graph.find("greet").is_some());
///
/// let error = ewoks::load_str("{", Path::new("."), "hello.json").unwrap_err();
/// assert!(error.to_string().starts_with("hello.json: "));
/// # Ok::<(), ewoks::LoadError>(())
/// ```
///
/// # Errors
/// When the text is no JSON, breaks a rule of the format or asks for what this version does not support.
pub fn load_str(text: &str, base_folder: &Path, name: &str) -> Result<Graph, LoadError> {
    let loaded = Folders::at(base_folder).and_then(|folders| load(text, &folders));
    loaded.map_err(|problem| LoadError { file: name.to_owned(), problem })
}

fn load(text: &str, folders: &Folders) -> Result<Graph, Problem> {
    let document = parse_json(text)?;
    let entries = read::entries(&document, folders)?;
    assemble::graph(entries)
}
