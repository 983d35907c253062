//! The example workflows that the original has as tests, rebuilt with Rust tasks, with their results.
//!
//! A program rather than tests, so that it can be its own worker: its arguments are a workflow, a pool and a start method;
//! it prints `ok`, or panics.

mod stopping;
mod tasks;
mod workflows;

use pushflow::{PoolOptions, RunOptions};

type Check = fn(&RunOptions);

const CHECKS: [(&str, Check); 11] = [
    ("1", workflows::one_task),
    ("2", workflows::an_error),
    ("3", workflows::a_submodel),
    ("4", workflows::an_error_in_a_submodel),
    ("5", workflows::a_timeout),
    ("6", workflows::around_a_submodel),
    ("10", workflows::a_loop),
    ("11", workflows::twenty_triggers),
    ("stop softly", stopping::softly),
    ("stop by force", stopping::by_force),
    ("stop too late", stopping::too_late),
];

fn main() {
    pushflow::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, pool, start_method] = &arguments[..] else { panic!("not three arguments: {arguments:?}") };
    let (_, check) = CHECKS.iter().find(|(other, _)| other == name).expect("there is such a workflow");
    let start_method = start_method.parse().expect("there is such a start method");
    let pool = pool.parse().expect("there is such a pool");
    let pool_options = PoolOptions { start_method, ..PoolOptions::default() };
    check(&RunOptions::new().pool(pool).pool_options(pool_options));
    println!("ok");
}
