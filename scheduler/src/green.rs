//! Green tasks: up to ten thousand Rust tasks and commands at a time on one thread, on the pool `gevent`.
//!
//! The pool is there in the green environment only. A program chooses it with [`enable`], before it opens its first
//! pool; so does the variable `PUSHFLOW_ENVIRONMENT`, set to `green`. In the green environment `gevent` is the default
//! pool of runs.
//!
//! A green task runs until it waits; then the thread runs another. So a task waits by what is here and by
//! [`crate::TaskContext`], never by a call that blocks the thread. All of it serves plain threads too, which then
//! block:
//! - [`sleep`] and [`yield_now`],
//! - [`channel`], whose two ends may be with green tasks or with threads,
//! - [`Monitor`], a value with a lock whose changes can be waited for,
//! - [`Wakes`], what a [`crate::Cancellation`] can wake: a [`Monitor`], or a type of your own,
//! - [`wait_readable`], for files,
//! - [`park`] and [`Waker`], of which the others are made.

pub use pushflow_green::{
    Environment, EnvironmentError, Monitor, Receiver, RecvError, SendError, Sender, TryRecvError, UnknownEnvironment,
    Waker, Wakes, channel, choose, enable, environment, is_green, park, sleep, wait_readable, yield_now,
};
