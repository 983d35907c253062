//! The exit of the process while pools are open: the column "at exit" of the policy table.
//!
//! # The protocol
//! The first pool that is opened registers an exit handler and starts a thread, which waits. When `main` returns or
//! panics, or something calls `exit`, the handler wakes the thread and waits for it (`pushflow_os::ExitHook` says why
//! the handler does no more). The thread begins the end of each open pool, and then waits until each pool has ended, as
//! its policy and options say: running attempts are waited for, or get SIGTERM and their grace. Then the exit goes on.
//!
//! The wait has a deadline only if `wait_on_exit_timeout` sets one. A signal still ends the process, and then the
//! guardian applies the rule for orphans.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pushflow_os::ExitHook;

/// What a pool does when the process exits.
pub(crate) trait AtProcessExit: Send {
    /// Begins to end the pool.
    fn begin(&self);
    /// Waits until the pool has ended; its timeout counts from `since`.
    fn finish(&self, since: Instant);
}

struct OpenPools {
    next: u64,
    pools: HashMap<u64, Box<dyn AtProcessExit>>,
}

static OPEN: Mutex<Option<OpenPools>> = Mutex::new(None);

fn open_pools() -> MutexGuard<'static, Option<OpenPools>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// While this exists, the exit of the process ends the pool first.
#[derive(Debug)]
pub(crate) struct Registration(u64);

impl Registration {
    /// # Errors
    /// When there are no threads or file descriptors left.
    pub(crate) fn new(pool: impl AtProcessExit + 'static) -> io::Result<Registration> {
        if let Some(hook) = ExitHook::register()? {
            std::thread::Builder::new().name("pushflow-exit".into()).spawn(move || end_pools_at_exit(hook))?;
        }
        let mut guard = open_pools();
        let open = guard.get_or_insert_with(|| OpenPools { next: 0, pools: HashMap::new() });
        open.next += 1;
        let id = open.next;
        open.pools.insert(id, Box::new(pool));
        Ok(Registration(id))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(open) = open_pools().as_mut() {
            open.pools.remove(&self.0);
        }
    }
}

/// Runs the thread.
fn end_pools_at_exit(mut hook: ExitHook) {
    hook.wait_for_exit();
    // Taken out, so that a thread that closes a pool meanwhile does not wait for the others.
    let pools: Vec<_> = open_pools().iter_mut().flat_map(|open| std::mem::take(&mut open.pools)).collect();
    let since = Instant::now();
    pools.iter().for_each(|(_, pool)| pool.begin());
    pools.iter().for_each(|(_, pool)| pool.finish(since));
    hook.allow_exit();
}
