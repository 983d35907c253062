//! Green tasks: many at a time on one thread, each with a stack of its own, and what makes the library's blocking calls
//! let others run.
//!
//! # States of a task
//! ```text
//! spawned ──▶ ready ──▶ running ──▶ ended
//!               ▲          │ parks
//!               │ woken    ▼
//!               └─────── parked
//! ```
//! One thread, the executor's, runs one task at a time, until that parks or ends; nothing else takes the thread away
//! from it. So what blocks the thread blocks every task of the pool. A watchdog finds and names such tasks.
//!
//! # Protocol of waiting
//! Whoever waits for something takes a [`Waker`] of itself, leaves it with whoever changes that thing, looks once more,
//! and [`park`]s. Waking is remembered, so that a change between the look and the parking is not missed. A task is queued
//! once, however often it is woken; it may also be woken for nothing, so who parks looks again afterwards. The one place
//! where all this is done is [`Monitor`]; the channel and all waits of the library are made of it. The same calls serve
//! plain threads, which then block.
//!
//! # What the thread waits for
//! When no task is ready, it waits in `epoll` for three things: its bell (an eventfd, rung by other threads that spawn or
//! wake a task), the next timer, and files that tasks wait for. There is no polling: an idle executor uses no time.
//!
//! # What dies
//! - A panic ends its attempt, as everywhere.
//! - A stack that overflows touches the page below it that nobody may touch, and the process ends with SIGSEGV. A stack
//!   has 2 MiB, as that of a thread; what was not touched takes no memory. It is used again by the next task.
//! - Where no stack can be made (`vm.max_map_count` allows about 32,000), a task waits until another has ended; where
//!   there is no other, its attempt fails.
//! - Tasks are never unwound from outside. A pool that is dropped leaves its thread behind with those that do not end.
//!
//! # What a task must not do
//! Hold the lock of a `std::sync::Mutex` while it parks: another task that wants it would block the one thread that could
//! release it. Enter a tracing span of its own over a wait: the other tasks would run in it.

mod arena;
mod attempt;
mod cancellation;
mod channel;
mod environment;
mod executor;
mod files;
mod lock;
mod mailbox;
mod monitor;
mod scheduler;
mod task;
mod watchdog;

#[cfg(test)]
mod tests;

pub use attempt::{begin_attempt, in_span, sleep};
pub use cancellation::{Cancellation, Cancelled, Wakes};
pub use channel::{Receiver, RecvError, SendError, Sender, TryRecvError, channel};
pub use environment::{Environment, EnvironmentError, UnknownEnvironment, choose, enable, environment, settle};
pub use executor::{Executor, STACK_BYTES};
pub use files::{Direction, wait_readable, wait_ready};
pub use mailbox::Job;
pub use monitor::Monitor;
pub use task::{Waker, is_green, park, yield_now};
pub use watchdog::{Heartbeat, Watchdog, WatchdogListener};
