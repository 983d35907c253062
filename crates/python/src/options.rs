//! Chooses the interpreter that runs Python tasks.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use pushflow_guardian::{find_program, is_executable};

/// Why no interpreter for Python tasks was found.
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
    /// `PATH` has no `python3`, and nothing else names an interpreter.
    #[error("no python3 was found in PATH; set PUSHFLOW_PYTHON to the interpreter to use")]
    NotFound,
}

/// The source of the choice of an interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChosenBy {
    /// An option of the caller.
    Option,
    /// The variable `PUSHFLOW_PYTHON`.
    Variable,
    /// The active virtual environment.
    Environment,
    /// `PATH`.
    Path,
}

impl ChosenBy {
    /// The name of the source for messages to users.
    pub fn name(self) -> &'static str {
        match self {
            ChosenBy::Option => "--python",
            ChosenBy::Variable => "PUSHFLOW_PYTHON",
            ChosenBy::Environment => "VIRTUAL_ENV",
            ChosenBy::Path => "PATH",
        }
    }
}

/// Finds the interpreter: `asked_for`, the one that the variable `PUSHFLOW_PYTHON` names, the one of the active virtual
/// environment (`VIRTUAL_ENV`), or `python3` in `PATH`.
///
/// # Errors
/// When the first of these that is set names no program, or when none is set and `PATH` has no `python3`.
pub fn find_interpreter(asked_for: Option<&str>) -> Result<PathBuf, PythonError> {
    choose_interpreter(asked_for).map(|(interpreter, _)| interpreter)
}

/// As [`find_interpreter`]; also returns which of these sources chose the interpreter.
///
/// # Errors
/// As [`find_interpreter`].
pub fn choose_interpreter(asked_for: Option<&str>) -> Result<(PathBuf, ChosenBy), PythonError> {
    find_interpreter_in(asked_for, &|name| env::var_os(name))
}

fn find_interpreter_in(
    asked_for: Option<&str>,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<(PathBuf, ChosenBy), PythonError> {
    let variable = |name| variable(name).filter(|value| !value.is_empty());
    let path = variable("PATH").unwrap_or_default();
    if let Some(name) = asked_for {
        let missing = || PythonError::AskedForMissing(name.to_owned());
        return Ok((program(name.as_ref(), &path).ok_or_else(missing)?, ChosenBy::Option));
    }
    if let Some(name) = variable("PUSHFLOW_PYTHON") {
        let missing = || PythonError::VariableMissing(name.to_string_lossy().into_owned());
        return Ok((program(&name, &path).ok_or_else(missing)?, ChosenBy::Variable));
    }
    if let Some(environment) = variable("VIRTUAL_ENV") {
        let interpreter = Path::new(&environment).join("bin/python3");
        return if is_executable(&interpreter) {
            Ok((interpreter, ChosenBy::Environment))
        } else {
            Err(PythonError::BrokenEnvironment(interpreter))
        };
    }
    Ok((find_program("python3".as_ref(), &path).ok_or(PythonError::NotFound)?, ChosenBy::Path))
}

/// A program by its path, or by its name in `PATH` where the name has no `/`.
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
        find_interpreter_in(asked_for, &lookup).map(|(found, _)| found).map_err(|error| error.to_string())
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
    fn a_missing_interpreter_is_named() {
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
