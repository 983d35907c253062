//! Reading ewoks graph files (`docs/ewoks.md`): JSON or YAML text becomes a [`Graph`], or an error that says in one
//! sentence what is wrong, with the file, the line and the column.
//!
//! The files of this module, in the order in which a graph file passes through them:
//!
//! 1. `file.rs` finds files and reads their text (`source.rs`); `document.rs` and `yaml.rs` parse the text into values.
//! 2. `serialized.rs` restores the values that JSON can't hold.
//! 3. `raw.rs` takes the document apart into nodes and links.
//! 4. `flatten.rs` and `nested.rs` replace the nodes that name graphs by the nodes of these graphs; `error_handlers.rs`
//!    adds the links to default error handlers.
//! 5. `read.rs` reads the attributes of nodes and links, with `fields.rs`, `parameters.rs`, `task.rs` and
//!    `settings.rs`.
//! 6. `links.rs` merges parallel links, and `inputs.rs` gives nodes the inputs of [`LoadOptions`].
//! 7. `conditions.rs`, `required.rs`, `start_nodes.rs` and `end_nodes.rs` derive what the file does not state.
//! 8. `assemble.rs` builds the graph.
//!
//! A `Location` (`location.rs`) goes along with each part, and makes the errors about it.
//!
//! The ids of nodes become the names of actors; the ids of nodes in nested graphs are joined with `:`. An attribute
//! that the format does not know is information for people and other programs, and is ignored, unless its name looks
//! like a misspelling of a name that the format knows.

mod assemble;
mod attributes;
mod conditions;
mod document;
mod end_nodes;
mod error;
mod error_handlers;
mod fields;
mod file;
mod flatten;
mod input;
mod inputs;
mod links;
mod location;
mod nested;
mod parameters;
mod raw;
mod read;
mod required;
mod serialized;
mod settings;
mod source;
mod start_nodes;
mod task;
mod yaml;
mod yaml_events;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use document::parse;
use error::LoadResult;
use file::Folders;
use flatten::Flattener;
use source::{Source, Syntax, source_of_file, syntax};
use start_nodes::StartNodes;

use crate::Graph;
pub use error::{Element, LoadError, Position, Problem};
pub use input::{Input, InputNodes};
pub use inputs::parse_inputs;
pub use start_nodes::{TaskClasses, UnknownClass};

/// Options for loading a graph.
///
/// ```
/// use pushflow_graph::ewoks::{Input, LoadOptions};
///
/// let options = LoadOptions::default().with_root("/graphs").with_inputs([Input::of_start("name", "World")]);
/// assert_eq!(options.inputs.len(), 1);
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LoadOptions {
    /// The folder in which relative file names are looked up first: that of the graph file, and those in the file.
    pub root: Option<PathBuf>,
    /// Values for inputs of nodes, in place of their `default_inputs`.
    pub inputs: Vec<Input>,
    /// Answers which inputs task classes need. Without it, a graph whose start nodes depend on that is refused.
    pub classes: Option<Arc<dyn TaskClasses>>,
}

impl LoadOptions {
    /// The same options with a folder in which relative file names are looked up first.
    #[must_use]
    pub fn with_root(self, root: impl Into<PathBuf>) -> Self {
        LoadOptions { root: Some(root.into()), ..self }
    }

    /// The same options with these inputs after those they have.
    #[must_use]
    pub fn with_inputs(mut self, inputs: impl IntoIterator<Item = Input>) -> Self {
        self.inputs.extend(inputs);
        self
    }

    /// The same options with an object that knows the inputs of task classes.
    #[must_use]
    pub fn with_classes(self, classes: Arc<dyn TaskClasses>) -> Self {
        LoadOptions { classes: Some(classes), ..self }
    }
}

/// Reads a graph file in JSON or YAML. Relative file names in it are looked up in its own folder first.
///
/// # Errors
/// When the file can't be read, is neither JSON nor YAML, or breaks a rule of the format.
pub fn load_file(path: &Path) -> Result<Graph, LoadError> {
    load_file_with(path, &LoadOptions::default())
}

/// Reads a graph file as [`load_file`], with options. The extension of its name may be left out.
///
/// # Errors
/// As [`load_file`]; when an input is for a node that the graph does not have.
pub fn load_file_with(path: &Path, options: &LoadOptions) -> Result<Graph, LoadError> {
    from_file(path, options).map_err(|error| *error)
}

/// Reads a graph from JSON text. Relative file names in it are looked up in `base_folder` first. Messages call the text
/// `name`.
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
/// assert!(error.to_string().starts_with("hello.json, line 1 column 1: "));
/// # Ok::<(), ewoks::LoadError>(())
/// ```
///
/// # Errors
/// When the text is not JSON, or breaks a rule of the format.
pub fn load_str(text: &str, base_folder: &Path, name: &str) -> Result<Graph, LoadError> {
    let folders = Folders::at(base_folder, None, name);
    let source =
        folders.map(|folders| Source { name: name.to_owned(), text: text.to_owned(), syntax: Syntax::Json, folders });
    let loaded = source.and_then(|source| load(source, None, &LoadOptions::default(), base_folder));
    loaded.map_err(|error| *error)
}

/// Reads a graph in JSON or YAML from a reader, to its end. Relative file names in it are looked up in the root folder
/// of the options, if there is one, then in the current folder. Messages call the text `name`.
///
/// # Errors
/// As [`load_file_with`].
pub fn load_reader(reader: impl Read, name: &str, options: &LoadOptions) -> Result<Graph, LoadError> {
    let text = file::read_all(name, reader);
    let loaded = text.and_then(|text| {
        let folders = Folders::at(Path::new(""), options.root.as_deref(), name)?;
        let source = Source { name: name.to_owned(), syntax: syntax(Path::new(""), &text), text, folders };
        load(source, None, options, options.root.as_deref().unwrap_or(Path::new(".")))
    });
    loaded.map_err(|error| *error)
}

/// The path of a graph file: in the root folder of the options if the file is there, else the path itself. An extension
/// that was left out is added.
pub fn find_file(path: &Path, options: &LoadOptions) -> PathBuf {
    let in_root = options.root.as_ref().map(|root| file::with_extension(&root.join(path)));
    in_root.filter(|path| path.exists()).unwrap_or_else(|| file::with_extension(path))
}

fn from_file(path: &Path, options: &LoadOptions) -> LoadResult<Graph> {
    let path = find_file(path, options);
    let name = path.display().to_string();
    let folders = Folders::at(Path::new(""), options.root.as_deref(), &name)?.around(&path);
    let folder = path.parent().unwrap_or(Path::new(""));
    load(source_of_file(&path, folders)?, path.canonicalize().ok(), options, folder)
}

/// Loads the graph of a source. `path` is the file of the source, if it has one; `folder` is where its tasks are.
fn load(source: Source, path: Option<PathBuf>, options: &LoadOptions, folder: &Path) -> LoadResult<Graph> {
    let (document, location) = parse(Arc::new(source))?;
    let flat = Flattener::of_file(path).flatten(&document, location)?;
    let mut entries = read::entries(flat)?;
    entries.links = links::merge(entries.links)?;
    let mut starts = StartNodes::new(options.classes.as_deref(), folder);
    inputs::apply(&mut entries, &options.inputs, &mut starts)?;
    assemble::graph(entries, &mut starts)
}
