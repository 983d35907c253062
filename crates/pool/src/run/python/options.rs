//! Which interpreter runs Python tasks.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::run::launch::{find_program, is_executable};

/// Why there is no interpreter for Python tasks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PythonError {
    /// The interpreter that was asked for does not exist.
    #[error("the Python interpreter {0:?} that was asked for is no program that can be executed")]
    AskedForMissing(String),
    /// The variable `PUSHFLOW_PYTHON` names something that does not exist.
    #[error("the Python interpreter {0:?} that PUSHFLOW_PYTHON names is no program that can be executed")]
    VariableMissing(String),
    /// The active virtual environment has no interpreter.
    #[error(
        "the active virtual environment has no {}; leave it, or set PUSHFLOW_PYTHON to the interpreter to use",
        .0.display()
    )]
    BrokenEnvironment(PathBuf),
    /// There is none.
    #[error("no python3 was found in PATH; set PUSHFLOW_PYTHON to the interpreter to use")]
    NotFound,
}

/// Finds the interpreter: the one asked for, that of the variable `PUSHFLOW_PYTHON`, that of the active virtual environment
/// (`VIRTUAL_ENV`), or `python3` of `PATH`.
///
/// # Errors
/// When the first of these that is set names no program, or there is none at all.
pub fn find_interpreter(asked_for: Option<&str>) -> Result<PathBuf, PythonError> {
    find_interpreter_in(asked_for, &|name| env::var_os(name))
}

fn find_interpreter_in(
    asked_for: Option<&str>,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<PathBuf, PythonError> {
    let variable = |name| variable(name).filter(|value| !value.is_empty());
    let path = variable("PATH").unwrap_or_default();
    if let Some(name) = asked_for {
        return program(name.as_ref(), &path).ok_or_else(|| PythonError::AskedForMissing(name.to_owned()));
    }
    if let Some(name) = variable("PUSHFLOW_PYTHON") {
        let missing = || PythonError::VariableMissing(name.to_string_lossy().into_owned());
        return program(&name, &path).ok_or_else(missing);
    }
    if let Some(environment) = variable("VIRTUAL_ENV") {
        let interpreter = Path::new(&environment).join("bin/python3");
        return if is_executable(&interpreter) {
            Ok(interpreter)
        } else {
            Err(PythonError::BrokenEnvironment(interpreter))
        };
    }
    find_program("python3".as_ref(), &path).ok_or(PythonError::NotFound)
}

/// A program by its path, or, without `/`, by its name in `PATH`.
fn program(name: &OsStr, path: &OsStr) -> Option<PathBuf> {
    if !name.as_encoded_bytes().contains(&b'/') {
        return find_program(name, path);
    }
    Some(PathBuf::from(name)).filter(|file| is_executable(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(asked_for: Option<&str>, variables: &[(&str, &str)]) -> Result<PathBuf, String> {
        let lookup = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        find_interpreter_in(asked_for, &lookup).map_err(|error| error.to_string())
    }

    #[test]
    fn the_interpreter_that_is_asked_for_wins() {
        assert_eq!(found(Some("/bin/sh"), &[("PUSHFLOW_PYTHON", "/bin/cat")]), Ok("/bin/sh".into()));
        assert_eq!(found(Some("sh"), &[("PATH", "/nowhere:/bin")]), Ok("/bin/sh".into()));
    }

    #[test]
    fn the_variable_wins_over_the_virtual_environment() {
        let variables = [("PUSHFLOW_PYTHON", "/bin/sh"), ("VIRTUAL_ENV", "/nowhere"), ("PATH", "/bin")];
        assert_eq!(found(None, &variables), Ok("/bin/sh".into()));
    }

    #[test]
    fn an_empty_variable_counts_as_none() {
        assert_eq!(found(None, &[("PUSHFLOW_PYTHON", "")]).unwrap_err(), PythonError::NotFound.to_string());
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = |asked_for, variables: &[_]| found(asked_for, variables).unwrap_err();
        assert_eq!(
            missing(Some("/no/python"), &[]),
            r#"the Python interpreter "/no/python" that was asked for is no program that can be executed"#
        );
        assert_eq!(
            missing(None, &[("PUSHFLOW_PYTHON", "pythn"), ("PATH", "/bin")]),
            r#"the Python interpreter "pythn" that PUSHFLOW_PYTHON names is no program that can be executed"#
        );
        assert_eq!(
            missing(None, &[("VIRTUAL_ENV", "/gone")]),
            "the active virtual environment has no /gone/bin/python3; leave it, or set PUSHFLOW_PYTHON to the interpreter to use"
        );
        assert_eq!(
            missing(None, &[("PATH", "/nowhere")]),
            "no python3 was found in PATH; set PUSHFLOW_PYTHON to the interpreter to use"
        );
    }
}
