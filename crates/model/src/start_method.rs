//! [`StartMethod`]: how worker processes are started.

use std::fmt;
use std::str::FromStr;

use crate::nearest::did_you_mean_or_choose;

/// How worker processes are started (`docs/parity.md` P107, the original's option `context`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StartMethod {
    /// `spawn`. Its workers share neither the layout of their memory nor seeds of random numbers, and `ps` and
    /// `/proc/PID/environ` show their own arguments and variables. The other methods start a worker faster (1.7 ms
    /// instead of 2.9), but a worker lives so long that its start hardly counts.
    #[default]
    Default,
    /// Each worker executes the worker program.
    Spawn,
    /// The worker program is executed once, and each worker is forked from that process. The Python interpreters of the
    /// workers are forked from one that has imported the modules of the tasks; see `docs/python.md`.
    Forkserver,
    /// Each worker is forked from this program as it was at `init()`. Refused where `init()` was not called, or was
    /// called in a process with several threads.
    Fork,
}

impl StartMethod {
    /// Every method, in the order in which users see them.
    pub const ALL: [StartMethod; 4] =
        [StartMethod::Default, StartMethod::Spawn, StartMethod::Forkserver, StartMethod::Fork];

    /// The name by which users choose the method.
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

/// The error for a name that no start method has.
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
