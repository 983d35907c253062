//! Green tasks: thousands at a time on one thread, each with a stack of its own; and what makes a task that waits let
//! others run.
//!
//! The pool `gevent` runs tasks so, in the green environment, which [`enable`] chooses before the first pool. On a plain
//! thread the same calls block the thread.

pub use pushflow_green::{
    Environment, EnvironmentError, Monitor, Receiver, RecvError, SendError, Sender, TryRecvError, UnknownEnvironment,
    Waker, channel, choose, enable, environment, is_green, park, sleep, wait_readable, yield_now,
};
