//! [`StartMethod`]: how worker processes are started.

use std::fmt;
use std::str::FromStr;

use crate::nearest::did_you_mean_or_choose;

/// How worker processes are started (`parity.md` P107, the original's option `context`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StartMethod {
    /// What is best here, which is `spawn`: the only one whose workers have no memory in common.
    #[default]
    Default,
    /// Each worker is the worker program, executed afresh.
    Spawn,
    /// The worker program is executed once, and its workers are copies of it. Their Python interpreters are copies of one
    /// that has imported what tasks need; see `docs/python.md`.
    Forkserver,
    /// Each worker is a copy of this program as it was at `init()`; refused where there was none, or not with one
    /// thread.
    Fork,
}

impl StartMethod {
    /// Every method, in the order in which they are listed to users.
    pub const ALL: [StartMethod; 4] =
        [StartMethod::Default, StartMethod::Spawn, StartMethod::Forkserver, StartMethod::Fork];

    /// The name by which users know it.
    pub fn name(self) -> &'static str {
        match self {
            StartMethod::Default => "default",
            StartMethod::Spawn => "spawn",
            StartMethod::Forkserver => "forkserver",
            StartMethod::Fork => "fork",
        }
    }
}

impl fmt::Display for StartMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no start method's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no start method {name:?}{}", did_you_mean_or_choose(.name, &StartMethod::ALL.map(StartMethod::name)))]
pub struct UnknownStartMethod {
    name: String,
}

impl FromStr for StartMethod {
    type Err = UnknownStartMethod;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = StartMethod::ALL.into_iter().find(|method| method.name() == name);
        found.ok_or_else(|| UnknownStartMethod { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_start_method_gets_the_nearest_right_one() {
        let message = |name: &str| name.parse::<StartMethod>().unwrap_err().to_string();
        assert_eq!(message("forkserve"), "there is no start method \"forkserve\"; did you mean \"forkserver\"?");
        assert!(
            message("xyz").contains("choose \"default\" or \"spawn\" or \"forkserver\" or \"fork\""),
            "{}",
            message("xyz")
        );
        for method in StartMethod::ALL {
            assert_eq!(method.to_string().parse(), Ok(method));
        }
    }
}
