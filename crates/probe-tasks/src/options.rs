//! The options with which the probe and its tasks open pools and start processes.

use std::time::Duration;

use pushflow_model::StartMethod;
use pushflow_pool::{PoolOptions, ProcessFamily, ProcessKind};

/// The options of a pool or process of the probe: one worker with this start method, which ends at once when the process
/// that opened it ends.
pub fn pool_options(start_method: StartMethod) -> PoolOptions {
    PoolOptions::new().max_workers(1).orphan_grace(Duration::ZERO).start_method(start_method)
}

/// The kind of single process that the tasks start: not daemonic, which is the original's default.
pub(crate) fn kind(billiard: bool) -> ProcessKind {
    let family = if billiard { ProcessFamily::Billiard } else { ProcessFamily::Multiprocessing };
    ProcessKind::new().family(family)
}
