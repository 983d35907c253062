//! [`Coroutine`]: a function with a stack of its own, which may stop in the middle and go on later.
//!
//! # States
//! A coroutine is new, or runs, or is suspended, or is done. Only [`Coroutine::resume`] makes it run, on the thread that
//! made it, and returns when it is suspended or done. What runs in it suspends it with [`suspend`], however deep in its
//! calls: the thread knows which coroutine it runs.
//!
//! # Dropping
//! A new one drops its function, one that is done its stack. One that is suspended is never unwound: its stack is
//! leaked, with all that is on it. Whoever minds resumes it to its end.
//!
//! # Overflow
//! The page below each stack can't be touched, so a stack that overflows ends the process with SIGSEGV and damages
//! nothing. (The standard library's message about overflows is for stacks that it made itself.)

use std::cell::Cell;
use std::io;
use std::ptr;

use corosensei::stack::StackPointer;
use corosensei::{CoroutineResult, Yielder};

use crate::mapping::{Mapping, page_size};

/// The memory of a coroutine's calls. Only what was touched of it takes memory.
#[derive(Debug)]
pub struct Stack(Mapping);

impl Stack {
    /// A stack of at least this many bytes, and a page below it that can't be touched.
    ///
    /// # Errors
    /// When the process has no memory or no mappings left: a stack takes two of the 65,530 that Linux allows by default
    /// (`vm.max_map_count`).
    pub fn new(bytes: usize) -> io::Result<Stack> {
        let page = page_size();
        let length = bytes.max(corosensei::stack::MIN_STACK_SIZE).next_multiple_of(page) + page;
        Ok(Stack(Mapping::for_stack(length, page)?))
    }
}

// SAFETY: the addresses are those of a mapping of at least MIN_STACK_SIZE with a guard page at its lower end, aligned to
// pages. A suspended coroutine never drops its stack.
unsafe impl corosensei::stack::Stack for Stack {
    fn base(&self) -> StackPointer {
        self.0.begin().checked_add(self.0.len()).expect("a mapping ends before the addresses do")
    }

    fn limit(&self) -> StackPointer {
        self.0.begin()
    }
}

/// Where a coroutine is after it was resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It was suspended, and can be resumed.
    Suspended,
    /// It has returned.
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
    /// Taken out only by `into_stack` and when this is dropped.
    inner: Option<corosensei::Coroutine<(), (), (), Stack>>,
}

thread_local! {
    /// The coroutine that this thread runs: by its yielder, which lives on its stack as long as it runs.
    static RUNNING: Cell<*const Yielder<(), ()>> = const { Cell::new(ptr::null()) };
}

/// Puts the outer coroutine, or none, back in its place, also when the inner one panics.
struct RestoreRunning(*const Yielder<(), ()>);

impl Drop for RestoreRunning {
    fn drop(&mut self) {
        RUNNING.set(self.0);
    }
}

impl Coroutine {
    /// A coroutine that will run `function` when it is first resumed.
    pub fn new(stack: Stack, function: impl FnOnce() + 'static) -> Coroutine {
        let inner = corosensei::Coroutine::with_stack(stack, move |yielder: &Yielder<(), ()>, ()| {
            RUNNING.set(yielder);
            function();
        });
        Coroutine { inner: Some(inner) }
    }

    /// Runs it until it is suspended or has returned.
    ///
    /// # Panics
    /// When it is done already, or when its function panics, which ends it.
    pub fn resume(&mut self) -> Progress {
        let inner = self.inner.as_mut().expect("it is there until it is dropped");
        let _restore = RestoreRunning(RUNNING.get());
        match inner.resume(()) {
            CoroutineResult::Yield(()) => Progress::Suspended,
            CoroutineResult::Return(()) => Progress::Done,
        }
    }

    /// Its stack, for another one, if it is done; a suspended one is leaked.
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

/// Drops it, unless something is on its stack that would have to be unwound.
fn drop_or_leak(inner: corosensei::Coroutine<(), (), (), Stack>) {
    if inner.started() && !inner.done() {
        std::mem::forget(inner);
    }
}

/// Whether the caller runs in a coroutine that may be suspended now. One that unwinds may not: the standard library
/// counts panics by threads.
pub fn can_suspend() -> bool {
    !RUNNING.get().is_null() && !std::thread::panicking()
}

/// Suspends the coroutine that the caller runs in, until it is resumed; at once `false` where there is none, or where it
/// unwinds.
///
/// Nothing that belongs to the thread may be held meanwhile: the lock of a mutex that another coroutine of this thread
/// takes is never released.
pub fn suspend() -> bool {
    if !can_suspend() {
        return false;
    }
    let running = RUNNING.get();
    // SAFETY: `running` is set while, and only while, the coroutine to which it belongs runs on this thread, so the
    // yielder on its stack is there; the caller runs in that coroutine, as `suspend` of a yielder demands.
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
        // `resume_unwind` counts as a panic, too.
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
