//! The policy table: the rules of the worker processes of each pool, and of single processes. One engine serves all of
//! them, and they differ in nothing but these rules.

use std::time::Duration;

use pushflow_guardian::OnSchedulerExit;
use pushflow_model::{Family, PoolType, ProcessClass};

/// The rules of one process pool, or of a single process (`docs/parity.md` P97, P108; the original's tables in its
/// README).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// The name of the pool, or of the kind of single process; its workers are named after it.
    pub name: &'static str,
    /// The workers' family, and whether they are daemonic. Both decide which children their tasks may have. Daemonic
    /// workers end at once when the process that has the pool has ended.
    pub class: ProcessClass,
    /// What happens to running attempts when the process that has the pool exits.
    pub at_exit: AtExit,
}

/// What happens to the running attempts of an open pool when its process exits: `main` returns, or something calls
/// `exit`. Attempts that have not started are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AtExit {
    /// The exit waits until they have ended.
    Wait,
    /// Their workers get SIGTERM, and SIGKILL after the grace.
    Terminate,
}

/// The Python library to which a single process of the original belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProcessFamily {
    /// `multiprocessing`: daemonic processes may not start one.
    #[default]
    Multiprocessing,
    /// `billiard`: every process may start one.
    Billiard,
}

/// The kind of a single process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ProcessKind {
    /// Its family.
    pub family: ProcessFamily,
    /// Whether it is daemonic. This process ends a daemonic process at its exit, and waits for any other. A daemonic
    /// process may have no children but those of the billiard family and commands.
    pub daemon: bool,
}

impl ProcessKind {
    /// A process of the family multiprocessing that is not daemonic.
    pub fn new() -> ProcessKind {
        ProcessKind::default()
    }

    /// Sets [`ProcessKind::family`](field@ProcessKind::family).
    #[must_use]
    pub fn family(mut self, family: ProcessFamily) -> ProcessKind {
        self.family = family;
        self
    }

    /// Sets [`ProcessKind::daemon`](field@ProcessKind::daemon).
    #[must_use]
    pub fn daemon(mut self, daemon: bool) -> ProcessKind {
        self.daemon = daemon;
        self
    }
}

/// The rules of every process pool, in the order of the pool types; for single processes see [`Policy::of_process`].
pub const POLICIES: [Policy; 5] = [
    of_process_pool(PoolType::Process),
    of_process_pool(PoolType::NdProcess),
    of_process_pool(PoolType::Multiprocessing),
    of_process_pool(PoolType::NdMultiprocessing),
    of_process_pool(PoolType::Billiard),
];

const fn of_process_pool(pool: PoolType) -> Policy {
    match Policy::of(pool) {
        Some(policy) => policy,
        None => panic!("this pool has no worker processes"),
    }
}

impl Policy {
    /// The rules of a pool; `None` if its attempts do not run in processes of their own.
    pub const fn of(pool: PoolType) -> Option<Policy> {
        let (family, daemonic, at_exit) = match pool {
            PoolType::Process | PoolType::NdProcess => (Family::ConcurrentFutures, false, AtExit::Wait),
            PoolType::Multiprocessing => (Family::Multiprocessing, true, AtExit::Terminate),
            PoolType::NdMultiprocessing => (Family::Multiprocessing, false, AtExit::Wait),
            PoolType::Billiard => (Family::Billiard, true, AtExit::Terminate),
            PoolType::Thread | PoolType::Gevent => return None,
        };
        Some(Policy { name: pool.name(), class: ProcessClass { family, daemonic }, at_exit })
    }

    /// The rules of a single process: those of the pools of its family, daemonic as asked.
    pub fn of_process(kind: ProcessKind) -> Policy {
        let (name, family) = match kind.family {
            ProcessFamily::Multiprocessing => ("mpprocess", Family::Multiprocessing),
            ProcessFamily::Billiard => ("bprocess", Family::Billiard),
        };
        let at_exit = if kind.daemon { AtExit::Terminate } else { AtExit::Wait };
        Policy { name, class: ProcessClass { family, daemonic: kind.daemon }, at_exit }
    }

    /// What happens to a worker when the process that has the pool has ended without an exit: a daemonic worker is
    /// ended at once, any other may finish its attempt within the grace.
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
