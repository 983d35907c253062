//! Finding files: the graph file itself, and the files that it names.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use pushflow_model::nearest;

use super::error::{LoadError, LoadResult, Position};

/// The extensions that the name of a graph file may lack.
const EXTENSIONS: &[&str] = &[".json", ".yml", ".yaml"];

/// The folders in which relative file names of a graph are looked up, in this order: the root folder, if the options
/// have one, the folder of the graph file, and the current folder.
#[derive(Clone, Debug)]
pub(super) struct Folders {
    root: Option<PathBuf>,
    base: PathBuf,
    current: PathBuf,
}

impl Folders {
    /// The folders for a graph whose file is in `base`. Messages call the graph `name`.
    pub(super) fn at(base: &Path, root: Option<&Path>, name: &str) -> LoadResult<Self> {
        let current = std::env::current_dir()
            .map_err(|error| LoadError::of_file(name, format!("the current folder can't be determined: {error}")))?;
        Ok(Folders { root: root.map(|root| current.join(root)), base: current.join(base), current })
    }

    /// The folders for the graph in another file.
    pub(super) fn around(&self, file: &Path) -> Self {
        Folders { base: self.base.join(file.parent().unwrap_or(Path::new(""))), ..self.clone() }
    }

    /// The absolute path of the first existing file with this name.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        self.all().map(|folder| folder.join(name)).find(|path| path.is_file())
    }

    /// The absolute path of the first existing file with this name; if there is none, its path in the first folder.
    pub(super) fn locate(&self, name: &str) -> PathBuf {
        self.find(name).unwrap_or_else(|| self.root.as_ref().unwrap_or(&self.base).join(name))
    }

    /// The absolute path of a graph file with this name, which may lack its extension.
    pub(super) fn locate_graph(&self, name: &str) -> PathBuf {
        let extended = || EXTENSIONS.iter().find_map(|extension| self.find(&format!("{name}{extension}")));
        self.find(name).or_else(extended).unwrap_or_else(|| self.locate(name))
    }

    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        self.root.iter().chain([&self.base, &self.current])
    }
}

/// The path of a graph file, with its extension added if the path lacks it.
pub(super) fn with_extension(path: &Path) -> PathBuf {
    let with = |extension: &&str| {
        let mut name = path.as_os_str().to_owned();
        name.push(extension);
        PathBuf::from(name)
    };
    let found = || EXTENSIONS.iter().map(with).find(|path| path.is_file());
    if path.exists() { path.to_owned() } else { found().unwrap_or_else(|| path.to_owned()) }
}

/// The text of a graph file.
pub(super) fn read_text(path: &Path) -> LoadResult<String> {
    let name = path.display().to_string();
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => LoadError::of_file(&name, missing(path)),
        _ => unreadable(&name, &error),
    })?;
    if metadata.is_dir() {
        return Err(LoadError::of_file(&name, "this is a folder, not a graph file"));
    }
    let bytes = fs::read(path).map_err(|error| unreadable(&name, &error))?;
    as_text(&name, bytes)
}

/// The text that a reader has, to its end.
pub(super) fn read_all(name: &str, mut reader: impl Read) -> LoadResult<String> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(|error| unreadable(name, &error))?;
    as_text(name, bytes)
}

fn as_text(name: &str, bytes: Vec<u8>) -> LoadResult<String> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(&error.as_bytes()[..valid]);
        LoadError::in_text(
            name,
            Position::of_offset(&text, valid),
            format!("byte {} is not UTF-8, so this is no text", valid + 1),
        )
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

fn unreadable(name: &str, error: &io::Error) -> Box<LoadError> {
    LoadError::of_file(name, format!("the file can't be read: {error}"))
}

/// The message for a file that does not exist.
pub(super) fn missing(path: &Path) -> String {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return format!("there is no such file, nor a folder {:?}", folder.display().to_string());
    }
    match similar_file(folder, path) {
        Some(name) => format!("there is no such file; did you mean {name:?}?"),
        None => "there is no such file".to_owned(),
    }
}

/// The file of a folder with the nearest name, or with the same name and any extension.
fn similar_file(folder: &Path, path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_str()?;
    let mut names: Vec<String> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter(|entry| entry.path().is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    let by_name = nearest(wanted, names.iter().map(String::as_str));
    let same_stem = |name: &&String| Path::new(name).file_stem() == Some(OsStr::new(wanted));
    by_name.map(str::to_owned).or_else(|| names.iter().find(same_stem).cloned())
}
