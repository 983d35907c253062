//! [`channel()`]: values from task to task, in their order. A green task that waits at either end lets others run.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::attempt::is_cancelled;
use crate::lock::lock;
use crate::monitor::{WaitQueue, wait_in};

/// A channel for any number of senders and receivers, green tasks or threads. At most `capacity` values wait in it; any
/// number if that is `None`. A capacity of 0 counts as 1.
///
/// When the attempt of a green task is asked to end, its waits on a channel end and fail as cancelled.
///
/// ```
/// use pushflow_green::{RecvError, channel};
///
/// let (sender, receiver) = channel(Some(1));
/// let producer = std::thread::spawn(move || (1..=3).try_for_each(|number| sender.send(number)));
/// assert_eq!(receiver.recv(), Ok(1));
/// assert_eq!(receiver.recv(), Ok(2));
/// assert_eq!(receiver.recv(), Ok(3));
/// assert_eq!(receiver.recv(), Err(RecvError::Closed));
/// # producer.join().unwrap().unwrap();
/// ```
pub fn channel<T>(capacity: Option<usize>) -> (Sender<T>, Receiver<T>) {
    let state = ChannelState {
        values: VecDeque::new(),
        capacity: capacity.map_or(usize::MAX, |capacity| capacity.max(1)),
        senders: 1,
        receivers: 1,
        wait_for_value: WaitQueue::default(),
        wait_for_room: WaitQueue::default(),
    };
    let state = Arc::new(Mutex::new(state));
    (Sender(state.clone()), Receiver(state))
}

/// The sending end of a channel. A clone is another sender.
pub struct Sender<T>(Arc<Mutex<ChannelState<T>>>);

/// The receiving end of a channel. A clone is another receiver; each value reaches one of them.
pub struct Receiver<T>(Arc<Mutex<ChannelState<T>>>);

struct ChannelState<T> {
    values: VecDeque<T>,
    capacity: usize,
    senders: usize,
    receivers: usize,
    wait_for_value: WaitQueue,
    wait_for_room: WaitQueue,
}

/// A value could not be sent; the error gives it back.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError<T> {
    /// No receiver is left.
    #[error("the channel has no receiver any more")]
    Closed(T),
    /// The attempt was asked to end while the channel was full.
    #[error("the attempt was cancelled")]
    Cancelled(T),
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Closed(_) => "Closed(..)",
            SendError::Cancelled(_) => "Cancelled(..)",
        })
    }
}

/// No value was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecvError {
    /// The channel is empty, and no sender is left.
    #[error("the channel has no sender any more")]
    Closed,
    /// The attempt was asked to end while it waited.
    #[error("the attempt was cancelled")]
    Cancelled,
    /// No value came before the deadline.
    #[error("no value came in time")]
    TimedOut,
}

/// No value is in the channel now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TryRecvError {
    /// The channel is empty, and a sender is left.
    #[error("the channel is empty")]
    Empty,
    /// The channel is empty, and no sender is left.
    #[error("the channel has no sender any more")]
    Closed,
}

impl<T> Sender<T> {
    /// Sends a value; waits while the channel is full.
    ///
    /// # Errors
    /// When no receiver is left, or when the attempt of the waiting green task is asked to end. The error holds the
    /// value.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        let mut value = Some(value);
        let mut back = move |state: &mut ChannelState<T>| {
            let take = |value: &mut Option<T>| value.take().expect("the wait ends when the value is taken");
            if state.receivers == 0 {
                return Some(Err(SendError::Closed(take(&mut value))));
            }
            if state.values.len() < state.capacity {
                state.values.push_back(take(&mut value));
                state.wait_for_value.wake_one();
                return Some(Ok(()));
            }
            is_cancelled().then(|| Err(SendError::Cancelled(take(&mut value))))
        };
        let sent = wait_in(&self.0, |state| &mut state.wait_for_room, None, &mut back);
        sent.expect("a wait without a deadline finds what it waits for")
    }
}

impl<T> Receiver<T> {
    /// Receives the next value; waits while the channel is empty.
    ///
    /// # Errors
    /// When the channel is empty and no sender is left, or when the attempt of the waiting green task is asked to end.
    pub fn recv(&self) -> Result<T, RecvError> {
        self.recv_until(None)
    }

    /// Receives the next value; waits until the deadline while the channel is empty.
    ///
    /// # Errors
    /// As [`Receiver::recv`], and when no value comes before the deadline.
    pub fn recv_until(&self, deadline: Option<Instant>) -> Result<T, RecvError> {
        let received = wait_in(
            &self.0,
            |state| &mut state.wait_for_value,
            deadline,
            |state| {
                if let Some(value) = state.pop() {
                    return Some(Ok(value));
                }
                if state.senders == 0 {
                    return Some(Err(RecvError::Closed));
                }
                is_cancelled().then_some(Err(RecvError::Cancelled))
            },
        );
        received.unwrap_or(Err(RecvError::TimedOut))
    }

    /// Receives the next value without waiting.
    ///
    /// # Errors
    /// When the channel is empty.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let mut state = lock(&self.0);
        match state.pop() {
            Some(value) => Ok(value),
            None if state.senders == 0 => Err(TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        }
    }
}

impl<T> ChannelState<T> {
    fn pop(&mut self) -> Option<T> {
        let value = self.values.pop_front()?;
        self.wait_for_room.wake_one();
        Some(value)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        lock(&self.0).senders += 1;
        Sender(self.0.clone())
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        lock(&self.0).receivers += 1;
        Receiver(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.senders -= 1;
        if state.senders == 0 {
            state.wait_for_value.wake_all();
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.receivers -= 1;
        if state.receivers == 0 {
            let unread = std::mem::take(&mut state.values);
            state.wait_for_room.wake_all();
            drop(state);
            // Dropped without the lock: a value may own an end of this very channel.
            drop(unread);
        }
    }
}
