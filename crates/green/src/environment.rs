//! [`Environment`]: plain or green, chosen once per process, before the first pool.

use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;

use pushflow_model::did_you_mean_or_choose;

use crate::lock::lock;

/// The environment variable that decides where the program has not chosen.
const VARIABLE: &str = "PUSHFLOW_ENVIRONMENT";

/// Whether this process has green tasks: the counterpart of gevent's monkey patching (`docs/parity.md` P96).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Environment {
    /// The process has no pool `gevent`; the default pool is `process`.
    #[default]
    Plain,
    /// The process has the pool `gevent`, which is the default pool. The other pools work as in the plain environment
    /// (`docs/parity.md` P98).
    Green,
}

impl Environment {
    /// Both environments, in the order in which users see them.
    pub const ALL: [Environment; 2] = [Environment::Plain, Environment::Green];

    /// The name by which users choose the environment.
    pub fn name(self) -> &'static str {
        match self {
            Environment::Plain => "plain",
            Environment::Green => "green",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The error for a name that no environment has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no environment {name:?}{}", did_you_mean_or_choose(.name, &Environment::ALL.map(Environment::name)))]
pub struct UnknownEnvironment {
    name: String,
}

impl FromStr for Environment {
    type Err = UnknownEnvironment;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Environment::ALL.into_iter().find(|environment| environment.name() == name);
        found.ok_or_else(|| UnknownEnvironment { name: name.to_owned() })
    }
}

/// Why a choice of the environment is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// The variable `PUSHFLOW_ENVIRONMENT` names no environment.
    #[error("PUSHFLOW_ENVIRONMENT: {0}")]
    Variable(#[source] UnknownEnvironment),
    /// A pool was opened in the other environment before.
    #[error(
        "the environment can't be changed to {wanted} any more: a pool was opened in the {settled} one; choose it before \
         the first pool"
    )]
    TooLate {
        /// The environment that was to be chosen.
        wanted: Environment,
        /// The environment in which a pool was opened.
        settled: Environment,
    },
}

/// The choice of this process.
#[derive(Debug, Default)]
struct Choice {
    chosen: Option<Environment>,
    /// Set when the first pool is opened; final.
    settled: Option<Environment>,
}

static CHOICE: Mutex<Choice> = Mutex::new(Choice { chosen: None, settled: None });

impl Choice {
    fn choose(&mut self, wanted: Environment) -> Result<(), EnvironmentError> {
        match self.settled {
            Some(settled) if settled != wanted => Err(EnvironmentError::TooLate { wanted, settled }),
            _ => {
                self.chosen = Some(wanted);
                Ok(())
            }
        }
    }

    /// The environment as of now. `variable` is the value of [`VARIABLE`]; empty counts as not set.
    fn environment(&self, variable: &str) -> Result<Environment, EnvironmentError> {
        match self.settled.or(self.chosen) {
            Some(environment) => Ok(environment),
            None if variable.is_empty() => Ok(Environment::default()),
            None => variable.parse().map_err(EnvironmentError::Variable),
        }
    }

    fn settle(&mut self, variable: &str) -> Result<Environment, EnvironmentError> {
        let environment = self.environment(variable)?;
        Ok(*self.settled.insert(environment))
    }
}

fn variable() -> String {
    std::env::var_os(VARIABLE).unwrap_or_default().to_string_lossy().into_owned()
}

/// Chooses the green environment for this process, whatever the variable `PUSHFLOW_ENVIRONMENT` says.
///
/// # Errors
/// When a pool was opened in the plain environment before.
pub fn enable() -> Result<(), EnvironmentError> {
    choose(Environment::Green)
}

/// Chooses the environment of this process, whatever the variable `PUSHFLOW_ENVIRONMENT` says. Until the first pool is
/// opened, the last choice counts.
///
/// # Errors
/// When a pool was opened in the other environment before.
pub fn choose(environment: Environment) -> Result<(), EnvironmentError> {
    lock(&CHOICE).choose(environment)
}

/// The environment of this process: the chosen one, else the one that the variable `PUSHFLOW_ENVIRONMENT` names, else
/// the plain one.
///
/// # Errors
/// When that variable names no environment.
pub fn environment() -> Result<Environment, EnvironmentError> {
    lock(&CHOICE).environment(&variable())
}

/// The environment of this process, which is final from now on. Called when a pool is opened.
///
/// # Errors
/// When the variable `PUSHFLOW_ENVIRONMENT` decides, and names no environment.
pub fn settle() -> Result<Environment, EnvironmentError> {
    lock(&CHOICE).settle(&variable())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_counts_more_than_the_variable_and_the_variable_more_than_the_default() {
        let mut choice = Choice::default();
        assert_eq!(choice.environment(""), Ok(Environment::Plain));
        assert_eq!(choice.environment("green"), Ok(Environment::Green));
        choice.choose(Environment::Plain).unwrap();
        assert_eq!(choice.environment("green"), Ok(Environment::Plain));
    }

    #[test]
    fn after_the_first_pool_only_the_same_can_be_chosen_again() {
        let mut choice = Choice::default();
        choice.choose(Environment::Green).unwrap();
        choice.choose(Environment::Plain).unwrap();
        assert_eq!(choice.settle(""), Ok(Environment::Plain));
        assert_eq!(choice.choose(Environment::Plain), Ok(()));
        assert_eq!(
            choice.choose(Environment::Green).unwrap_err().to_string(),
            "the environment can't be changed to green any more: a pool was opened in the plain one; choose it before \
             the first pool"
        );
        assert_eq!(choice.environment("green"), Ok(Environment::Plain));
    }

    #[test]
    fn a_wrong_name_gets_the_nearest_right_one_and_settles_nothing() {
        let mut choice = Choice::default();
        assert_eq!(
            choice.settle("gren").unwrap_err().to_string(),
            "PUSHFLOW_ENVIRONMENT: there is no environment \"gren\"; did you mean \"green\"?"
        );
        assert_eq!(choice.choose(Environment::Green), Ok(()));
        assert_eq!(
            "xyz".parse::<Environment>().unwrap_err().to_string(),
            "there is no environment \"xyz\": choose \"plain\" or \"green\""
        );
    }
}
