//! The policy table: how the worker processes of each pool, and single processes, live and die. One engine reads it;
//! nothing else differs between them.

use std::time::Duration;

use pushflow_guardian::OnSchedulerExit;
use pushflow_model::{Family, PoolType, ProcessClass};

/// The rules of one process pool, or of a single process (`parity.md` P97, P108; the original's tables in its README).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The name of the pool, or of the kind of single process; its workers are named after it.
    pub name: &'static str,
    /// Its workers' family, and whether they are daemonic: that decides which children their tasks may have, and that
    /// they end at once when the process that has the pool is gone.
    pub class: ProcessClass,
    /// What becomes of running attempts when the process that has the pool exits.
    pub at_exit: AtExit,
}

/// What becomes of the running attempts of an open pool when its process exits: `main` returns, or something calls
/// `exit`. Attempts that have not begun are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtExit {
    /// The exit waits until they have ended.
    Wait,
    /// Their workers get SIGTERM, and SIGKILL after the grace.
    Terminate,
}

/// The library of the original's that a single process belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProcessFamily {
    /// `multiprocessing`: daemonic processes may not start one.
    #[default]
    Multiprocessing,
    /// `billiard`: everybody may start one.
    Billiard,
}

/// What a single process is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProcessKind {
    /// Its family.
    pub family: ProcessFamily,
    /// Whether it is daemonic: ended at the exit of this process, which else waits for it; and not allowed to have
    /// children but those of the billiard family and commands.
    pub daemon: bool,
}

const fn policy(name: &'static str, family: Family, daemonic: bool, at_exit: AtExit) -> Policy {
    Policy { name, class: ProcessClass { family, daemonic }, at_exit }
}

/// The table of pools; for single processes see [`Policy::of_process`].
pub const POLICIES: [Policy; 5] = [
    policy(PoolType::Process.name(), Family::ConcurrentFutures, false, AtExit::Wait),
    policy(PoolType::NdProcess.name(), Family::ConcurrentFutures, false, AtExit::Wait),
    policy(PoolType::Multiprocessing.name(), Family::Multiprocessing, true, AtExit::Terminate),
    policy(PoolType::NdMultiprocessing.name(), Family::Multiprocessing, false, AtExit::Wait),
    policy(PoolType::Billiard.name(), Family::Billiard, true, AtExit::Terminate),
];

impl Policy {
    /// The rules of a pool; `None` where attempts do not run in processes of their own.
    pub fn of(pool: PoolType) -> Option<&'static Policy> {
        POLICIES.iter().find(|policy| policy.name == pool.name())
    }

    /// The rules of a single process: those of the pools of its family, daemonic as asked.
    pub fn of_process(kind: ProcessKind) -> Policy {
        let (name, family) = match kind.family {
            ProcessFamily::Multiprocessing => ("mpprocess", Family::Multiprocessing),
            ProcessFamily::Billiard => ("bprocess", Family::Billiard),
        };
        policy(name, family, kind.daemon, if kind.daemon { AtExit::Terminate } else { AtExit::Wait })
    }

    /// What becomes of a worker when the process that has the pool is gone without an exit: a daemonic one is ended at
    /// once, another one may finish its attempt within the grace.
    pub(crate) fn on_scheduler_exit(&self, grace: Duration) -> OnSchedulerExit {
        if self.class.daemonic { OnSchedulerExit::End } else { OnSchedulerExit::after(grace) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daemonic_workers_end_with_their_parent_and_may_have_children_of_the_billiard_family_only() {
        let single = [ProcessFamily::Multiprocessing, ProcessFamily::Billiard]
            .into_iter()
            .flat_map(|family| [false, true].map(|daemon| Policy::of_process(ProcessKind { family, daemon })));
        for policy in POLICIES.into_iter().chain(single) {
            let daemonic = policy.class.daemonic;
            assert_eq!(policy.at_exit == AtExit::Terminate, daemonic, "{policy:?}");
            assert_eq!(
                policy.on_scheduler_exit(Duration::from_secs(30)) == OnSchedulerExit::End,
                daemonic,
                "{policy:?}"
            );
            assert_eq!(policy.class.may_start(Family::Multiprocessing), !daemonic, "{policy:?}");
            assert_eq!(policy.class.may_start(Family::ConcurrentFutures), !daemonic, "{policy:?}");
            assert!(policy.class.may_start(Family::Billiard), "{policy:?}");
        }
    }

    #[test]
    fn threads_have_no_policy() {
        assert_eq!(Policy::of(PoolType::Thread), None);
        assert_eq!(Policy::of(PoolType::Billiard).map(|policy| policy.class.daemonic), Some(true));
    }
}
