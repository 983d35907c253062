//! How many workers the limit of open files allows (`ulimit -n`).
//!
//! Each worker takes some files of the process that has the pool. It takes no more of the guardian, whose limit is no
//! lower. A pool that reached the limit would fail in the middle, and with it all else that the program opens. So the
//! limit is checked when a pool is opened: a pool that scales gets fewer workers, and a fixed number that does not fit
//! is refused.

use std::io;

use nix::sys::resource::{Resource, getrlimit};
use pushflow_os::files;

use super::dispatcher::Rules;
use crate::error::OpenError;
use crate::options::PoolOptions;

/// The files of a worker: two pipes, memory, and the ends of its channels.
const FILES_PER_WORKER: usize = 5;
/// The files that are left for everything else, such as the start of a worker, slabs, and the program's own.
const RESERVE: usize = 48;

/// The files of a Python task on the pool `gevent`: both ends of its channel, of which one is open until the
/// interpreter has received it. The interpreter has the same limit, and takes one file per task.
const FILES_PER_GREEN_TASK: usize = 2;

/// How many green tasks may run at a time on a pool with Python tasks; all others wait.
pub(crate) fn fitted_green_tasks(options: &PoolOptions) -> io::Result<usize> {
    let (limit, wanted) = (limit(), options.green_limit());
    let fit = room_for(FILES_PER_GREEN_TASK)?.max(1);
    if options.max_workers.is_some_and(|asked_for| asked_for > fit) {
        tracing::warn!(
            wanted,
            "the pool \"gevent\" runs at most {fit} tasks at a time: a Python task takes {FILES_PER_GREEN_TASK} open files, \
             and {limit} may be open (ulimit -n)"
        );
    }
    Ok(wanted.min(fit))
}

/// Limits the rules to as many workers as the files allow.
///
/// # Errors
/// When a fixed number of workers does not fit, or not even one worker fits.
pub(super) fn fitted(rules: Rules) -> Result<Rules, OpenError> {
    fit_into(rules, room_for(FILES_PER_WORKER)?, limit())
}

/// How many workers of a process pool the files of this process allow.
pub(crate) fn workers_that_fit() -> io::Result<usize> {
    room_for(FILES_PER_WORKER)
}

fn room_for(files_each: usize) -> io::Result<usize> {
    Ok(limit().saturating_sub(files::open_numbers()?.len() + RESERVE) / files_each)
}

fn fit_into(rules: Rules, fit: usize, limit: usize) -> Result<Rules, OpenError> {
    let max_workers = rules.max_workers;
    if max_workers <= fit {
        return Ok(rules);
    }
    if fit == 0 || !rules.scaling {
        let (workers, files) = (max_workers, FILES_PER_WORKER);
        return Err(OpenError::Files { workers, files, limit, fit });
    }
    tracing::warn!(
        max_workers,
        "a pool has at most {fit} workers: each takes {FILES_PER_WORKER} open files, and {limit} may be open (ulimit -n)"
    );
    Ok(Rules { max_workers: fit, ..rules })
}

/// How many files may be open. If the system does not say, there is no limit.
fn limit() -> usize {
    getrlimit(Resource::RLIMIT_NOFILE).ok().and_then(|(soft, _)| usize::try_from(soft).ok()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_that_grows_is_kept_smaller_and_a_fixed_one_is_refused_with_what_to_do() {
        let options = PoolOptions { max_workers: Some(100), ..PoolOptions::default() };
        let scaling = super::super::rules(&options);
        assert_eq!(fit_into(scaling.clone(), 200, 1024).unwrap().max_workers, 100);
        assert_eq!(fit_into(scaling.clone(), 20, 256).unwrap().max_workers, 20);
        let refused = "100 workers do not fit: each takes 5 open files, and 256 may be open: raise that with ulimit -n, or \
                       ask for 20 workers";
        let fixed = Rules { scaling: false, ..scaling.clone() };
        assert_eq!(fit_into(fixed, 20, 256).unwrap_err().to_string(), refused);
        let refused = "100 workers do not fit: each takes 5 open files, and 16 may be open: raise that with ulimit -n";
        assert_eq!(fit_into(scaling, 0, 16).unwrap_err().to_string(), refused);
    }
}
