//! [`Scheduler`]: the loop of the executor's thread, and the calls that its tasks make to it.

mod watched;

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollTimeout};
use pushflow_os::coroutine::{self, Coroutine, Progress, Stack};
use tracing::Span;

use crate::arena::{Arena, Key};
use crate::lock::lock;
use crate::mailbox::{Job, Mailbox};

/// How many stacks of ended tasks are kept for new tasks.
const SPARE_STACKS: usize = 64;

/// How many tasks run before the scheduler looks at mail, timers and files again.
const TURN: usize = 256;

/// How many events the scheduler takes from `epoll` at a time.
const EVENTS: usize = 64;

/// One task.
struct Task {
    handle: Arc<TaskHandle>,
    body: Body,
    /// The number by which the watchdog reports the task.
    label: u64,
    /// Set when the task's attempt is asked to end.
    cancelled: Option<Arc<AtomicBool>>,
    span: Option<Span>,
}

enum Body {
    New(Job),
    Parked(Coroutine),
    /// The task runs, or waits for a stack.
    Taken,
}

/// The state of the executor's thread, which no other thread touches.
pub(crate) struct Scheduler {
    mailbox: Arc<Mailbox>,
    files: Epoll,
    stack_bytes: usize,
    running: Cell<Option<Key>>,
    /// Never borrowed while a task runs.
    state: RefCell<SchedulerState>,
}

struct SchedulerState {
    tasks: Arena<Task>,
    ready: VecDeque<Key>,
    timers: BTreeSet<(Instant, Key)>,
    spare: Vec<Stack>,
    stacks_in_use: usize,
    /// New tasks that wait for a stack because none could be made.
    without_stack: VecDeque<(Key, Job)>,
    watched: usize,
    closed: bool,
}

thread_local! {
    /// The scheduler of this thread, if it is an executor's.
    static SCHEDULER: RefCell<Option<Rc<Scheduler>>> = const { RefCell::new(None) };
}

// ----- calls of tasks -----

impl Scheduler {
    /// The scheduler of the calling task, and the key of that task; `None` outside of green tasks.
    pub(crate) fn current() -> Option<(Rc<Scheduler>, Key)> {
        if !coroutine::can_suspend() {
            return None;
        }
        let scheduler = SCHEDULER.with_borrow(Clone::clone)?;
        let key = scheduler.running.get()?;
        Some((scheduler, key))
    }

    /// The scheduler that takes its mail from this mailbox, if it runs on the calling thread.
    pub(crate) fn of(mailbox: &Arc<Mailbox>) -> Option<Rc<Scheduler>> {
        // A destructor may run after those of the thread's variables.
        let scheduler = SCHEDULER.try_with(|scheduler| scheduler.borrow().clone()).ok().flatten();
        scheduler.filter(|scheduler| Arc::ptr_eq(&scheduler.mailbox, mailbox))
    }

    fn task<R>(&self, key: Key, with: impl FnOnce(&mut Task) -> R) -> Option<R> {
        self.state.borrow_mut().tasks.get_mut(key).map(with)
    }

    pub(crate) fn handle(&self, key: Key) -> Option<Arc<TaskHandle>> {
        self.task(key, |task| task.handle.clone())
    }

    pub(crate) fn is_cancelled(&self, key: Key) -> bool {
        self.task(key, |task| task.cancelled.as_ref().is_some_and(|flag| flag.load(Ordering::Acquire))).unwrap_or(false)
    }

    pub(crate) fn set_span(&self, key: Key, span: Option<Span>) {
        let before = self.task(key, |task| std::mem::replace(&mut task.span, span));
        drop(before);
    }

    /// Notes that the task runs an attempt from now on: the watchdog reports the task by `label`, and `cancelled` is set
    /// when the attempt is asked to end.
    pub(crate) fn begin_attempt(&self, key: Key, label: u64, cancelled: Arc<AtomicBool>) {
        self.mailbox.heartbeat.relabel(label);
        self.task(key, |task| (task.label, task.cancelled) = (label, Some(cancelled)));
    }

    /// Suspends the task until it is woken, or until the deadline.
    pub(crate) fn park(&self, key: Key, deadline: Option<Instant>) {
        if let Some(at) = deadline {
            self.state.borrow_mut().timers.insert((at, key));
        }
        let span = self.task(key, |task| task.span.clone()).flatten();
        let in_span = |what: fn(&tracing::Dispatch, &tracing::span::Id)| {
            if let Some(span) = &span {
                span.with_subscriber(|(id, dispatch)| what(dispatch, id));
            }
        };
        in_span(tracing::Dispatch::exit);
        coroutine::suspend();
        in_span(tracing::Dispatch::enter);
        if let Some(at) = deadline {
            self.state.borrow_mut().timers.remove(&(at, key));
        }
    }
}

// ----- the loop of the thread -----

impl Scheduler {
    /// Makes the calling thread an executor's thread. `files` already watches the bell of the mailbox.
    pub(crate) fn new(mailbox: Arc<Mailbox>, files: Epoll, stack_bytes: usize) -> Rc<Scheduler> {
        let state = SchedulerState {
            tasks: Arena::new(),
            ready: VecDeque::new(),
            timers: BTreeSet::new(),
            spare: Vec::new(),
            stacks_in_use: 0,
            without_stack: VecDeque::new(),
            watched: 0,
            closed: false,
        };
        let state = RefCell::new(state);
        let scheduler = Rc::new(Scheduler { mailbox, files, stack_bytes, running: Cell::new(None), state });
        SCHEDULER.set(Some(scheduler.clone()));
        scheduler
    }

    /// Queues a task that was woken.
    fn queue(&self, key: Key) {
        self.state.borrow_mut().ready.push_back(key);
    }

    pub(crate) fn spawn(&self, job: Job) {
        let mut state = self.state.borrow_mut();
        let key = state.tasks.insert(|key| Task {
            handle: TaskHandle::queued(key, self.mailbox.clone()),
            body: Body::New(job),
            label: 0,
            cancelled: None,
            span: None,
        });
        state.ready.push_back(key);
    }

    /// Runs tasks until the executor is closed and no task is left.
    pub(crate) fn run(&self) {
        loop {
            self.take_mail();
            self.expire_timers();
            for _ in 0..TURN {
                let Some(key) = self.state.borrow_mut().ready.pop_front() else { break };
                self.run_task(key);
            }
            if !self.wait() {
                return;
            }
        }
    }

    fn take_mail(&self) {
        let (jobs, woken) = {
            let mut mail = lock(&self.mailbox.mail);
            self.state.borrow_mut().closed = mail.closed;
            (std::mem::take(&mut mail.jobs), std::mem::take(&mut mail.woken))
        };
        self.state.borrow_mut().ready.extend(woken);
        jobs.into_iter().for_each(|job| self.spawn(job));
    }

    fn expire_timers(&self) {
        let mut state = self.state.borrow_mut();
        if state.timers.is_empty() {
            return;
        }
        let now = Instant::now();
        let mut due = Vec::new();
        while let Some((_, key)) = state.timers.first().copied().filter(|(at, _)| *at <= now) {
            state.timers.pop_first();
            due.extend(state.tasks.get_mut(key).map(|task| task.handle.clone()));
        }
        drop(state);
        due.iter().for_each(|handle| handle.wake());
    }

    /// Runs a task until it parks or ends.
    fn run_task(&self, key: Key) {
        let Some((body, label)) = self.task(key, |task| {
            task.handle.dequeued();
            (std::mem::replace(&mut task.body, Body::Taken), task.label)
        }) else {
            return;
        };
        let coroutine = match body {
            Body::New(job) => self.begin(key, job),
            Body::Parked(coroutine) => Some(coroutine),
            Body::Taken => None,
        };
        let Some(mut coroutine) = coroutine else { return };
        self.running.set(Some(key));
        self.mailbox.heartbeat.begin(label);
        let progress = coroutine.resume();
        self.mailbox.heartbeat.end();
        self.running.set(None);
        match progress {
            Progress::Suspended => {
                self.task(key, |task| task.body = Body::Parked(coroutine));
            }
            Progress::Done => self.end(key, coroutine),
        }
    }

    /// A coroutine for a new task; `None` where the task has to wait for a stack, or where none can be made and the job
    /// was called with the error.
    fn begin(&self, key: Key, job: Job) -> Option<Coroutine> {
        let mut state = self.state.borrow_mut();
        let stack = match state.spare.pop() {
            Some(stack) => Ok(stack),
            None => Stack::new(self.stack_bytes),
        };
        match stack {
            Ok(stack) => {
                state.stacks_in_use += 1;
                Some(Coroutine::new(stack, move || run_job(job, Ok(()))))
            }
            Err(_) if state.stacks_in_use > 0 => {
                state.without_stack.push_back((key, job));
                None
            }
            Err(error) => {
                let task = state.tasks.remove(key);
                drop(state);
                drop(task);
                run_job(job, Err(error));
                None
            }
        }
    }

    fn end(&self, key: Key, coroutine: Coroutine) {
        let stack = coroutine.into_stack();
        let mut state = self.state.borrow_mut();
        state.stacks_in_use -= 1;
        let task = state.tasks.remove(key);
        if state.spare.len() < SPARE_STACKS {
            state.spare.extend(stack);
        }
        if let Some((waiting, job)) = state.without_stack.pop_front() {
            if let Some(task) = state.tasks.get_mut(waiting) {
                task.body = Body::New(job);
            }
            state.ready.push_front(waiting);
        }
        drop(state);
        // Dropped without the borrow: the values of a task may wake other tasks when they are dropped.
        task.inspect(|task| task.handle.ended());
    }

    /// Waits until there is work; `false` if the executor is closed and no task is left.
    fn wait(&self) -> bool {
        let (is_ready, next, watched, may_leave) = {
            let state = self.state.borrow();
            let next = state.timers.first().map(|(at, _)| *at);
            (!state.ready.is_empty(), next, state.watched, state.closed && state.tasks.is_empty())
        };
        if is_ready {
            // Tasks that always yield must not keep files from being looked at.
            if watched > 0 {
                self.take_events(EpollTimeout::ZERO);
            }
            return true;
        }
        {
            let mut mail = lock(&self.mailbox.mail);
            if !(mail.jobs.is_empty() && mail.woken.is_empty()) {
                return true;
            }
            if may_leave {
                return false;
            }
            if mail.closed && !self.state.borrow().closed {
                return true;
            }
            mail.asleep = true;
        }
        self.mailbox.heartbeat.sleep();
        self.take_events(next.map_or(EpollTimeout::NONE, time_until));
        self.mailbox.heartbeat.wake();
        lock(&self.mailbox.mail).asleep = false;
        true
    }

    /// Waits for files and the bell, and wakes the tasks of the ready files.
    fn take_events(&self, timeout: EpollTimeout) {
        let mut events = [EpollEvent::empty(); EVENTS];
        let count = match self.files.wait(&mut events, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => unreachable!("epoll_wait takes what it is given here: {error}"),
        };
        for event in &events[..count] {
            if !self.mailbox.is_bell(event.data())
                && let Some(handle) = self.handle(Key::from_number(event.data()))
            {
                handle.wake();
            }
        }
    }
}

/// Wakes one task from any thread.
#[derive(Debug)]
pub(crate) struct TaskHandle {
    key: Key,
    /// Whether the task is in the queue, or has ended and so never returns to it.
    queued: AtomicBool,
    mailbox: Arc<Mailbox>,
}

impl TaskHandle {
    /// The handle of a task that is in the queue already.
    fn queued(key: Key, mailbox: Arc<Mailbox>) -> Arc<TaskHandle> {
        Arc::new(TaskHandle { key, queued: AtomicBool::new(true), mailbox })
    }

    /// Puts the task into the queue, unless it is there or has ended.
    pub(crate) fn wake(&self) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        match Scheduler::of(&self.mailbox) {
            Some(scheduler) => scheduler.queue(self.key),
            None => self.mailbox.post(|mail| mail.woken.push(self.key)),
        }
    }

    /// The scheduler has taken the task from the queue; it can be queued again.
    fn dequeued(&self) {
        self.queued.store(false, Ordering::Release);
    }

    /// The task has ended; it is never queued again.
    fn ended(&self) {
        self.queued.store(true, Ordering::Release);
    }
}

/// Runs a job. A job that panics ends like any other: the panic of an attempt was caught and reported before.
fn run_job(job: Job, stack: io::Result<()>) {
    if catch_unwind(AssertUnwindSafe(|| job(stack))).is_err() {
        tracing::error!("a green task panicked outside of its attempt");
    }
}

/// The time in milliseconds, rounded up: rounded down, the last millisecond would be spent in calls that return at once.
fn time_until(at: Instant) -> EpollTimeout {
    let left = at.saturating_duration_since(Instant::now());
    EpollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(EpollTimeout::MAX)
}
