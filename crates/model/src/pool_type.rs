//! [`PoolType`]: the kinds of pool.

use std::fmt;
use std::str::FromStr;

use crate::nearest::{choose, did_you_mean_or_choose};

/// The kinds of pool, by the names of the original (`docs/parity.md` P97).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolType {
    /// Threads of the scheduler's process.
    Thread,
    /// Worker processes of the family `concurrent.futures`, not daemonic.
    Process,
    /// As [`PoolType::Process`], explicitly not daemonic.
    NdProcess,
    /// Daemonic worker processes of the family `multiprocessing`.
    Multiprocessing,
    /// As [`PoolType::Multiprocessing`], not daemonic.
    NdMultiprocessing,
    /// Daemonic worker processes of the billiard family.
    Billiard,
    /// Green tasks on one thread of the scheduler's process; only in the green environment.
    Gevent,
}

impl PoolType {
    /// Every type, in the order in which users see them.
    pub const ALL: [PoolType; 7] = [
        PoolType::Thread,
        PoolType::Process,
        PoolType::NdProcess,
        PoolType::Multiprocessing,
        PoolType::NdMultiprocessing,
        PoolType::Billiard,
        PoolType::Gevent,
    ];

    /// The name by which users choose the pool.
    pub const fn name(self) -> &'static str {
        match self {
            PoolType::Thread => "thread",
            PoolType::Process => "process",
            PoolType::NdProcess => "ndprocess",
            PoolType::Multiprocessing => "multiprocessing",
            PoolType::NdMultiprocessing => "ndmultiprocessing",
            PoolType::Billiard => "billiard",
            PoolType::Gevent => "gevent",
        }
    }
}

impl fmt::Display for PoolType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The error for a name that no pool type has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no pool {name:?}{}", choices(.name))]
pub struct UnknownPoolType {
    name: String,
}

/// The original's name for a pool that starts as many workers as it needs. Here that is an option of every pool.
const SCALING: &str = "scaling";

fn choices(name: &str) -> String {
    let names = PoolType::ALL.map(PoolType::name);
    if name == SCALING {
        let how = "scaling is an option that every pool has, and on by default (PoolOptions::scaling, --no-scaling)";
        return format!(": {how}; {}", choose(&names));
    }
    did_you_mean_or_choose(name, &names)
}

impl FromStr for PoolType {
    type Err = UnknownPoolType;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = PoolType::ALL.into_iter().find(|pool| pool.name() == name);
        found.ok_or_else(|| UnknownPoolType { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_pool_name_gets_the_nearest_right_one() {
        let message = |name: &str| name.parse::<PoolType>().unwrap_err().to_string();
        assert_eq!(message("proces"), "there is no pool \"proces\"; did you mean \"process\"?");
        assert!(message("xyz").starts_with("there is no pool \"xyz\": choose \"thread\" or \"process\" or"));
        assert!(message("scaling").starts_with(
            "there is no pool \"scaling\": scaling is an option that every pool has, and on by default \
             (PoolOptions::scaling, --no-scaling); choose \"thread\" or"
        ));
        for pool in PoolType::ALL {
            assert_eq!(pool.to_string().parse(), Ok(pool));
        }
    }
}
