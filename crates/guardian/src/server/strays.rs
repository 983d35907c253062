//! Strays: processes whose keeper was killed, so that they are the guardian's own children now.
//!
//! They are looked for after the death of a keeper, and killed with everything below them, again and again until there are
//! none. One that may not be killed, since it has become another user's, is tried for a while and then given up: it is
//! reported and no longer waited for. A process that was given up for what is below it leaves its keeper as such a one.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use nix::errno::Errno;
use nix::unistd::{Pid, getpid};
use pushflow_os::process_tree;

use super::process::UNKILLABLE_AFTER;

#[derive(Default)]
pub(super) struct Strays {
    /// There may be some.
    looked_for: bool,
    /// Those that may not be killed, and since when that is known.
    forbidden: HashMap<Pid, Instant>,
    /// Those that are left alone until they end by themselves.
    given_up: HashSet<Pid>,
}

impl Strays {
    pub(super) fn are_looked_for(&self) -> bool {
        self.looked_for
    }

    /// There may be new ones.
    pub(super) fn look_again(&mut self) {
        self.looked_for = true;
    }

    /// Leaves this child of the guardian alone.
    pub(super) fn give_up(&mut self, pid: Pid) {
        self.given_up.insert(pid);
    }

    /// A child has been reaped: whether it was one that was given up, so that what was below it is the guardian's now.
    pub(super) fn ended(&mut self, pid: Pid) -> bool {
        self.forbidden.remove(&pid);
        self.given_up.remove(&pid)
    }

    /// One pass over all strays and what is below them, of `budget` processes; those that are given up with it.
    pub(super) fn kill(&mut self, strays: &[Pid], now: Instant, budget: usize) -> Vec<u32> {
        let (mut unkillable, mut left) = (Vec::new(), budget);
        let strays: Vec<Pid> = strays.iter().copied().filter(|stray| !self.given_up.contains(stray)).collect();
        self.looked_for = !strays.is_empty();
        for stray in strays {
            if left == 0 {
                break;
            }
            let sweep = process_tree::kill_descendants(stray, left - 1);
            left -= 1 + sweep.seen;
            let killed = process_tree::kill_child(getpid(), stray);
            let is_forbidden = killed.is_err_and(|error| error.raw_os_error() == Some(Errno::EPERM as i32));
            if !is_forbidden || sweep.killed > 0 || sweep.has_failed {
                self.forbidden.remove(&stray);
            } else if now - *self.forbidden.entry(stray).or_insert(now) > UNKILLABLE_AFTER {
                self.forbidden.remove(&stray);
                self.given_up.insert(stray);
                unkillable.extend([stray].iter().chain(&sweep.forbidden).map(|pid| pid.as_raw().unsigned_abs()));
            }
        }
        unkillable
    }
}
