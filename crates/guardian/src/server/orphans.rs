//! [`Orphans`]: processes whose keeper was killed, so that they are children of the guardian.
//!
//! After the death of a keeper the guardian looks for orphans, and kills them with all of their descendants, again and
//! again until there are none. An orphan that belongs to another user can't be killed. The guardian tries for a while
//! and then gives it up: it reports the orphan and does not wait for it any more. If the guardian gives up a process
//! because of its descendants, the keeper of that process becomes such an orphan.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use nix::errno::Errno;
use nix::unistd::{Pid, getpid};
use pushflow_os::process_tree;

use super::process::UNKILLABLE_AFTER;

/// The orphans of a guardian.
#[derive(Default)]
pub(super) struct Orphans {
    /// Whether there may be orphans that were not given up.
    may_exist: bool,
    /// The orphans that may not be killed, and since when that is known.
    forbidden: HashMap<Pid, Instant>,
    /// The orphans that were given up. They stay children of the guardian until they end by themselves.
    given_up: HashSet<Pid>,
}

impl Orphans {
    /// Whether the guardian has to look for orphans. It does not exit before.
    pub(super) fn may_exist(&self) -> bool {
        self.may_exist
    }

    /// The guardian may have got new children that are orphans.
    pub(super) fn expect_more(&mut self) {
        self.may_exist = true;
    }

    /// Gives up this child of the guardian.
    pub(super) fn give_up(&mut self, pid: Pid) {
        self.given_up.insert(pid);
    }

    /// A child of the guardian has been reaped. Returns whether it had been given up: then its descendants are orphans
    /// now.
    pub(super) fn ended(&mut self, pid: Pid) -> bool {
        self.forbidden.remove(&pid);
        self.given_up.remove(&pid)
    }

    /// One pass of SIGKILL over `orphans` and their descendants, which examines `budget` processes at most. Returns the
    /// pids of the processes that are given up with this pass.
    pub(super) fn kill(&mut self, orphans: &[Pid], now: Instant, budget: usize) -> Vec<u32> {
        let (mut unkillable, mut left) = (Vec::new(), budget);
        let orphans: Vec<Pid> = orphans.iter().copied().filter(|orphan| !self.given_up.contains(orphan)).collect();
        self.may_exist = !orphans.is_empty();
        for orphan in orphans {
            if left == 0 {
                break;
            }
            let sweep = process_tree::kill_descendants(orphan, left - 1);
            left -= 1 + sweep.seen;
            let killed = process_tree::kill_child(getpid(), orphan);
            let is_forbidden = killed.is_err_and(|error| error.raw_os_error() == Some(Errno::EPERM as i32));
            if !is_forbidden || sweep.killed > 0 || sweep.has_failed {
                self.forbidden.remove(&orphan);
            } else if now - *self.forbidden.entry(orphan).or_insert(now) > UNKILLABLE_AFTER {
                self.forbidden.remove(&orphan);
                self.given_up.insert(orphan);
                unkillable.extend([orphan].iter().chain(&sweep.forbidden).map(|pid| pid.as_raw().unsigned_abs()));
            }
        }
        unkillable
    }
}
