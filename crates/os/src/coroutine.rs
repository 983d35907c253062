//! [`Coroutine`]: a function with a stack of its own, which can be suspended and resumed.
//!
//! # States
//! A coroutine is new, running, suspended or done. Only [`Coroutine::resume`] runs it, on the thread that made it, and
//! returns when the coroutine is suspended or done. Code that runs in the coroutine suspends it with [`suspend`], at
//! any depth of calls: a variable of the thread names the running coroutine. That variable and the stacks take unsafe
//! code, which is why coroutines are in this crate.
//!
//! # Dropping
//! Dropping a new coroutine drops its function; dropping one that is done unmaps its stack. A suspended coroutine is
//! never unwound: dropping it leaks its stack and all values on the stack. A caller to whom this matters resumes the
//! coroutine until it is done.
//!
//! # Overflow
//! The page below each stack can't be accessed. A stack that overflows ends the process with SIGSEGV and overwrites no
//! other memory. (The standard library prints its message about overflows only for stacks that it made itself.)

use std::cell::Cell;
use std::io;
use std::ptr;

use corosensei::stack::StackPointer;
use corosensei::{CoroutineResult, Yielder};

use crate::mapping::{Mapping, page_size};

/// The stack of a coroutine. The kernel provides memory only for the pages that were touched.
#[derive(Debug)]
pub struct Stack(Mapping);

impl Stack {
    /// Makes a stack of at least this many bytes, with a page below it that can't be accessed.
    ///
    /// # Errors
    /// When the process has no memory or no mappings left. A stack takes two of the 65,530 mappings that Linux allows a
    /// process by default (`vm.max_map_count`).
    pub fn new(bytes: usize) -> io::Result<Stack> {
        let page = page_size();
        let length = bytes.max(corosensei::stack::MIN_STACK_SIZE).next_multiple_of(page) + page;
        Ok(Stack(Mapping::for_stack(length, page)?))
    }
}

// SAFETY: `base` and `limit` are the ends of a readable and writable mapping, so that both are aligned to pages.
// Without the guard page at its lower end, the mapping has MIN_STACK_SIZE bytes or more. Its owner unmaps it only when
// the coroutine is new or done.
unsafe impl corosensei::stack::Stack for Stack {
    fn base(&self) -> StackPointer {
        self.0.begin().checked_add(self.0.len()).expect("a mapping ends before the addresses do")
    }

    fn limit(&self) -> StackPointer {
        self.0.begin()
    }
}

/// The state of a coroutine after it was resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The coroutine is suspended, and can be resumed.
    Suspended,
    /// The coroutine's function has returned.
    Done,
}

/// A function with a stack of its own.
///
/// ```
/// use pushflow_os::coroutine::{Coroutine, Progress, Stack, suspend};
///
/// let mut coroutine = Coroutine::new(Stack::new(64 * 1024)?, || {
///     suspend();
/// });
/// assert_eq!(coroutine.resume(), Progress::Suspended);
/// assert_eq!(coroutine.resume(), Progress::Done);
/// let stack = coroutine.into_stack().expect("it is done, so its stack can be used again");
/// # drop(stack);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Coroutine {
    /// `None` only while `into_stack` or `drop` runs.
    inner: Option<corosensei::Coroutine<(), (), (), Stack>>,
}

thread_local! {
    /// The yielder of the coroutine that this thread runs, or null. The yielder is on the stack of that coroutine until
    /// the coroutine is done.
    static RUNNING: Cell<*const Yielder<(), ()>> = const { Cell::new(ptr::null()) };
}

/// Sets `RUNNING` back to the coroutine that resumed another one, or to null, when it is dropped: also when the other
/// one panics.
struct RestoreRunning(*const Yielder<(), ()>);

impl Drop for RestoreRunning {
    fn drop(&mut self) {
        RUNNING.set(self.0);
    }
}

impl Coroutine {
    /// Makes a coroutine that runs `function` when it is first resumed.
    pub fn new(stack: Stack, function: impl FnOnce() + 'static) -> Coroutine {
        let inner = corosensei::Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
            RUNNING.set(yielder);
            function();
        });
        Coroutine { inner: Some(inner) }
    }

    /// Runs the coroutine until it is suspended or done.
    ///
    /// # Panics
    /// When the coroutine is done already, or when its function panics. After such a panic the coroutine is done.
    pub fn resume(&mut self) -> Progress {
        let inner = self.inner.as_mut().expect("it is there until it is dropped");
        let _restore = RestoreRunning(RUNNING.get());
        match inner.resume(()) {
            CoroutineResult::Yield(()) => Progress::Suspended,
            CoroutineResult::Return(()) => Progress::Done,
        }
    }

    /// Returns the stack, for another coroutine, if this one is done. Dropping applies to the others: a suspended
    /// coroutine is leaked.
    pub fn into_stack(mut self) -> Option<Stack> {
        let inner = self.inner.take().expect("it is there until it is dropped");
        if inner.done() {
            return Some(inner.into_stack());
        }
        drop_or_leak(inner);
        None
    }
}

impl Drop for Coroutine {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            drop_or_leak(inner);
        }
    }
}

/// Drops a coroutine, or leaks it if it is suspended: its stack would have to be unwound.
fn drop_or_leak(inner: corosensei::Coroutine<(), (), (), Stack>) {
    if inner.started() && !inner.done() {
        std::mem::forget(inner);
    }
}

/// Whether the caller runs in a coroutine that may be suspended now.
///
/// A coroutine that unwinds may not: the standard library counts panics for each thread.
pub fn can_suspend() -> bool {
    !RUNNING.get().is_null() && !std::thread::panicking()
}

/// Suspends the coroutine in which the caller runs, until it is resumed, and returns `true`. Returns `false` at once
/// outside of a coroutine and while the coroutine unwinds.
///
/// The caller holds no lock meanwhile: if another coroutine of this thread waits for the lock, the thread waits for
/// itself.
pub fn suspend() -> bool {
    if !can_suspend() {
        return false;
    }
    let running = RUNNING.get();
    // SAFETY: `RUNNING` names a yielder only while the coroutine of that yielder runs on this thread, so that the
    // yielder is alive, and the caller runs in that coroutine, as `Yielder::suspend` requires.
    unsafe { &*running }.suspend(());
    RUNNING.set(running);
    true
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::rc::Rc;

    use super::*;

    fn stack() -> Stack {
        Stack::new(64 * 1024).unwrap()
    }

    #[test]
    fn a_coroutine_continues_where_it_was_suspended_also_deep_in_its_calls() {
        fn deep(depth: u32, seen: &RefCell<Vec<u32>>) {
            seen.borrow_mut().push(depth);
            assert!(suspend());
            if depth < 3 {
                deep(depth + 1, seen);
            }
        }
        let seen = Rc::<RefCell<Vec<u32>>>::default();
        let mut coroutine = Coroutine::new(stack(), {
            let seen = seen.clone();
            move || deep(1, &seen)
        });
        for round in 1..=3 {
            assert_eq!(coroutine.resume(), Progress::Suspended);
            assert_eq!(seen.borrow().len(), round);
        }
        assert_eq!(coroutine.resume(), Progress::Done);
        assert!(coroutine.into_stack().is_some());
    }

    #[test]
    fn outside_of_a_coroutine_suspend_returns_false() {
        assert!(!can_suspend());
        assert!(!suspend());
    }

    #[test]
    fn a_coroutine_in_a_coroutine_suspends_itself_only() {
        let mut outer = Coroutine::new(stack(), || {
            let mut inner = Coroutine::new(stack(), || assert!(suspend()));
            assert_eq!(inner.resume(), Progress::Suspended);
            assert!(suspend(), "this suspends the outer coroutine");
            assert_eq!(inner.resume(), Progress::Done);
        });
        assert_eq!(outer.resume(), Progress::Suspended);
        assert_eq!(outer.resume(), Progress::Done);
    }

    #[test]
    fn a_panic_ends_the_coroutine_and_reaches_the_caller_of_resume() {
        let mut coroutine = Coroutine::new(stack(), || {
            suspend();
            std::panic::resume_unwind(Box::new("the panic's value"));
        });
        assert_eq!(coroutine.resume(), Progress::Suspended);
        let panic = catch_unwind(AssertUnwindSafe(|| coroutine.resume())).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"the panic's value"));
        assert!(!can_suspend());
        assert!(coroutine.into_stack().is_some());
    }

    #[test]
    fn a_coroutine_that_unwinds_is_not_suspended() {
        struct SuspendsWhenDropped(Rc<Cell<Option<bool>>>);
        impl Drop for SuspendsWhenDropped {
            fn drop(&mut self) {
                self.0.set(Some(suspend()));
            }
        }
        let suspended = Rc::<Cell<Option<bool>>>::default();
        let mut coroutine = Coroutine::new(stack(), {
            let guard = SuspendsWhenDropped(suspended.clone());
            move || {
                let _guard = guard;
                std::panic::resume_unwind(Box::new(()));
            }
        });
        assert!(catch_unwind(AssertUnwindSafe(|| coroutine.resume())).is_err());
        // The standard library counts `resume_unwind` as a panic.
        assert_eq!(suspended.get(), Some(false));
    }

    #[test]
    fn a_dropped_coroutine_that_is_new_drops_its_function_and_one_that_is_suspended_leaks_it() {
        let held = Rc::new(());
        let make = || {
            let held = held.clone();
            Coroutine::new(stack(), move || {
                suspend();
                drop(held);
            })
        };
        drop(make());
        assert_eq!(Rc::strong_count(&held), 1);
        let mut suspended = make();
        suspended.resume();
        drop(suspended);
        assert_eq!(Rc::strong_count(&held), 2);
    }
}
