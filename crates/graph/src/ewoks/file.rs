//! Finding files: the graph file itself, and the files that it names.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::Problem;
use crate::nearest::nearest;

/// Where the relative file names of a graph are looked up: the graph's own folder, then the current one.
pub(super) struct Folders {
    base: PathBuf,
    current: PathBuf,
}

impl Folders {
    /// The folders for a graph that lives in `base`.
    pub(super) fn at(base: &Path) -> Result<Self, Problem> {
        let current = std::env::current_dir()
            .map_err(|error| Problem::File(format!("the current folder can't be determined: {error}")))?;
        Ok(Folders { base: current.join(base), current })
    }

    /// The folders for the graph in that file.
    pub(super) fn around(file: &Path) -> Result<Self, Problem> {
        Folders::at(file.parent().unwrap_or(Path::new("")))
    }

    /// The absolute path of an existing file of that name.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        [&self.base, &self.current].into_iter().map(|folder| folder.join(name)).find(|path| path.is_file())
    }

    /// The absolute path of a file of that name, in the graph's own folder if it does not exist.
    pub(super) fn locate(&self, name: &str) -> PathBuf {
        self.find(name).unwrap_or_else(|| self.base.join(name))
    }
}

/// The text of a graph file.
pub(super) fn read_text(path: &Path) -> Result<String, Problem> {
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Problem::File(missing(path)),
        _ => unreadable(&error),
    })?;
    if metadata.is_dir() {
        return Err(Problem::File("this is a folder, not a graph file".to_owned()));
    }
    if is_yaml(path) {
        let message = "a graph file in YAML is not supported by this version of pushflow yet; write it in JSON";
        return Err(Problem::File(message.to_owned()));
    }
    let bytes = fs::read(path).map_err(|error| unreadable(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let position = error.utf8_error().valid_up_to() + 1;
        Problem::File(format!("byte {position} is not UTF-8, so this is no JSON text"))
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

fn is_yaml(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    extension.eq_ignore_ascii_case("yml") || extension.eq_ignore_ascii_case("yaml")
}

fn unreadable(error: &io::Error) -> Problem {
    Problem::File(format!("the file can't be read: {error}"))
}

fn missing(path: &Path) -> String {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return format!("there is no such file, nor a folder {:?}", folder.display().to_string());
    }
    match similar_file(folder, path) {
        Some(name) => format!("there is no such file; did you mean {name:?}?"),
        None => "there is no such file".to_owned(),
    }
}

/// The file of a folder with the nearest name; or with the same name and some extension.
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
