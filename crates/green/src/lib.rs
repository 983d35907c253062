//! Green tasks: coroutines that share one thread, each with a stack of its own, and the blocking calls that let other
//! green tasks run.
//!
//! | file | content |
//! |---|---|
//! | `executor.rs` | [`Executor`], the handle by which other threads start green tasks |
//! | `mailbox.rs` | the queue and the bell between other threads and the executor's thread |
//! | `scheduler.rs` | the loop of the executor's thread: ready tasks, timers, stacks; `scheduler/watched.rs`: files |
//! | `arena.rs` | the tasks of a scheduler by key |
//! | `task.rs` | [`park`], [`Waker`] and [`yield_now`], for green tasks and threads alike |
//! | `monitor.rs`, `channel.rs`, `files.rs` | waiting for a [`Monitor`], for a [`channel()`], for files |
//! | `cancellation.rs`, `attempt.rs` | [`Cancellation`], and what ties a green task to the attempt that it runs |
//! | `watchdog.rs` | [`Watchdog`], a thread that reports tasks which hold the executor's thread |
//! | `environment.rs` | whether this process has green tasks at all |
//!
//! ```
//! use std::sync::Arc;
//!
//! use pushflow_green::{Executor, Heartbeat, Job, STACK_BYTES, channel, is_green};
//!
//! let executor = Executor::start(STACK_BYTES, Arc::<Heartbeat>::default())?;
//! let (sender, receiver) = channel(None);
//! executor.spawn([Box::new(move |_| sender.send(is_green()).unwrap()) as Job]);
//! assert_eq!(receiver.recv(), Ok(true));
//! executor.close();
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # States of a task
//! ```text
//! spawned ──▶ ready ──▶ running ──▶ ended
//!               ▲          │ parks
//!               │ woken    ▼
//!               └─────── parked
//! ```
//! The executor's thread runs one task at a time, until that task parks or ends. Nothing else takes the thread from a
//! task, so a task that blocks the thread blocks every task of the executor. The watchdog finds and names such tasks.
//!
//! # Protocol of waiting
//! A task that waits for a value takes a [`Waker`] of itself and leaves it with whoever changes the value. It looks at
//! the value once more, and [`park`]s. A waker that is used before the task parks is remembered, so the task does not
//! miss a change between its look and its parking. A task is queued once, however often it is woken. It may also be
//! woken for no reason, so it looks again afterwards. [`Monitor`] is the one place where all this is done; the channel
//! and all waits of the library are made of it. The same calls block a plain thread.
//!
//! # Waiting without work
//! When no task is ready, the thread waits in `epoll` for three things: its bell (an eventfd, which other threads ring
//! when they spawn or wake a task), the next timer, and the files that tasks wait for. The thread never polls: an idle
//! executor uses no processor time.
//!
//! # Failures
//! - A panic ends its attempt, as on a thread.
//! - A stack that overflows touches the guard page below it, and the process ends with SIGSEGV. A stack has 2 MiB, as
//!   that of a thread; pages that were never touched take no memory. The next task uses the stack again.
//! - Where no stack can be made (`vm.max_map_count` allows about 32,000), a task waits until another one has ended. If
//!   no other task has a stack, its attempt fails.
//! - Tasks are never unwound from outside. A pool that is dropped leaves its thread behind with the tasks that do not
//!   end.
//!
//! # What a task must not do
//! A task must not hold the lock of a `std::sync::Mutex` while it parks: another task that wants the lock would block the
//! one thread that could release it. A task must not enter a tracing span of its own over a wait: the other tasks would
//! run in that span.

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
