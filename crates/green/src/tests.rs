//! The executor alone, with small tasks of its own: order, timers, wake-ups, stacks.

mod measure;

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::attempt::sleep;
use crate::channel::{RecvError, channel};
use crate::executor::{Executor, STACK_BYTES};
use crate::files::wait_readable;
use crate::mailbox::Job;
use crate::monitor::Monitor;
use crate::task::{Waker, is_green, park, yield_now};
use crate::watchdog::Heartbeat;

const HOUR: Duration = Duration::from_secs(3600);

/// An executor that is closed at the end of the test.
struct Green(Executor);

impl Green {
    fn start() -> Green {
        Green::with_stacks(STACK_BYTES)
    }

    fn with_stacks(bytes: usize) -> Green {
        Green(Executor::start(bytes, Arc::<Heartbeat>::default()).unwrap())
    }

    /// Runs the jobs, and waits until all have ended.
    fn run(&self, jobs: impl IntoIterator<Item = Box<dyn FnOnce() + Send>>) {
        let ended = Arc::new(Monitor::new(0));
        let jobs: Vec<Job> = jobs
            .into_iter()
            .map(|job| {
                let ended = ended.clone();
                Box::new(move |stack: io::Result<()>| {
                    stack.unwrap();
                    job();
                    ended.change(|count| *count += 1);
                }) as Job
            })
            .collect();
        let count = jobs.len();
        self.0.spawn(jobs);
        ended.wait(None, |ended| (*ended == count).then_some(()));
    }
}

impl Drop for Green {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn job(job: impl FnOnce() + Send + 'static) -> Box<dyn FnOnce() + Send> {
    Box::new(job)
}

/// Panics without a message on standard error.
fn panic_quietly() {
    std::panic::resume_unwind(Box::new("a panic of the test"));
}

/// How many mappings this process has.
fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps").unwrap().lines().count()
}

#[test]
fn tasks_begin_in_their_order_and_take_turns_when_they_yield() {
    let seen = Arc::<Mutex<Vec<(u32, u32)>>>::default();
    let task = |number: u32| {
        let seen = seen.clone();
        job(move || {
            for round in 0..3 {
                seen.lock().unwrap().push((round, number));
                yield_now();
            }
        })
    };
    Green::start().run((0..4).map(task));
    let expected: Vec<_> = (0..3).flat_map(|round| (0..4).map(move |number| (round, number))).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn ten_thousand_tasks_at_a_time_sleep_and_talk_and_leave_no_stacks_behind() {
    const TASKS: usize = 10_000;
    let green = Green::start();
    green.run([job(|| ())]);
    let before = mappings();
    let (sender, receiver) = channel(Some(16));
    let (running, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let gate = Arc::new(Monitor::new(0));
    let task = |number: usize| {
        let (sender, running, most, gate) = (sender.clone(), running.clone(), most.clone(), gate.clone());
        job(move || {
            most.fetch_max(running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            // No task goes on before all have started.
            gate.change(|count| *count += 1);
            gate.wait(None, |count| (*count == TASKS).then_some(()));
            sleep(Duration::from_millis(5)).unwrap();
            sender.send(number).unwrap();
            running.fetch_sub(1, Ordering::Relaxed);
        })
    };
    let sum = Arc::<AtomicUsize>::default();
    let adds_up = {
        let sum = sum.clone();
        job(move || {
            while let Ok(number) = receiver.recv() {
                sum.fetch_add(number, Ordering::Relaxed);
            }
        })
    };
    let jobs: Vec<_> = [adds_up].into_iter().chain((0..TASKS).map(task)).collect();
    drop(sender);
    green.run(jobs);
    assert_eq!(most.load(Ordering::Relaxed), TASKS);
    assert_eq!(sum.load(Ordering::Relaxed), TASKS * (TASKS - 1) / 2);
    // A stack that is kept has two mappings; other tests have mappings too.
    assert!(mappings() < before + 2000, "{before} before, {} after", mappings());
}

#[test]
fn a_stack_serves_one_task_after_the_other() {
    let green = Green::start();
    let addresses = Arc::<Mutex<Vec<usize>>>::default();
    for _ in 0..3 {
        let addresses = addresses.clone();
        green.run([job(move || {
            let on_the_stack = 0_u8;
            addresses.lock().unwrap().push(std::ptr::from_ref(&on_the_stack).addr());
        })]);
    }
    let addresses = addresses.lock().unwrap();
    assert_eq!(addresses[0], addresses[1]);
    assert_eq!(addresses[1], addresses[2]);
}

#[test]
fn tasks_without_a_stack_wait_until_another_has_ended() {
    // Stacks of 16 TiB: a process has addresses for seven of them.
    let green = Green::with_stacks(1 << 44);
    let ended = Arc::<AtomicUsize>::default();
    green.run((0..20).map(|_| {
        let ended = ended.clone();
        job(move || {
            sleep(Duration::from_millis(1)).unwrap();
            ended.fetch_add(1, Ordering::Relaxed);
        })
    }));
    assert_eq!(ended.load(Ordering::Relaxed), 20);
}

#[test]
fn a_task_for_which_no_stack_can_ever_be_made_gets_the_error() {
    let green = Green::with_stacks(1 << 47);
    let (sender, receiver) = channel(None);
    green.0.spawn([Box::new(move |stack: io::Result<()>| {
        sender.send((stack.map_err(|error| error.kind()), is_green())).unwrap();
    }) as Job]);
    assert_eq!(receiver.recv(), Ok((Err(io::ErrorKind::OutOfMemory), false)));
}

#[test]
fn timers_wake_in_the_order_of_their_times() {
    let (sender, receiver) = channel(None);
    let task = |millis: u64| {
        let sender = sender.clone();
        job(move || {
            sleep(Duration::from_millis(millis)).unwrap();
            sender.send(millis).unwrap();
        })
    };
    let begin = Instant::now();
    Green::start().run([task(60), task(1), task(30)]);
    assert!(begin.elapsed() >= Duration::from_millis(60));
    assert_eq!([receiver.recv(), receiver.recv(), receiver.recv()], [Ok(1), Ok(30), Ok(60)]);
}

#[test]
fn a_wake_up_from_another_thread_reaches_a_task_also_when_it_comes_before_the_wait() {
    let green = Green::start();
    for comes_first in [false, true] {
        let waker = Arc::new(Monitor::new(None::<Waker>));
        let was_woken = Arc::<AtomicBool>::default();
        let task = {
            let (waker, was_woken) = (waker.clone(), was_woken.clone());
            job(move || {
                waker.change(|slot| *slot = Some(Waker::current()));
                while comes_first && !was_woken.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
                park(Some(Instant::now() + HOUR));
                assert!(was_woken.load(Ordering::SeqCst));
            })
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let waker = waker.wait(None, |slot| slot.take()).unwrap();
                was_woken.store(true, Ordering::SeqCst);
                waker.wake();
                if comes_first {
                    // The task may have seen the flag before the first wake-up; then this one wakes it.
                    waker.wake();
                }
            });
            green.run([task]);
        });
    }
}

#[test]
fn a_task_waits_for_files_while_others_run_also_several_for_one_file() {
    let (reader, writer) = io::pipe().unwrap();
    let reader = Arc::new(reader);
    let read = |reader: Arc<io::PipeReader>| {
        job(move || {
            let none = wait_readable(&[reader.as_fd()], Some(Instant::now())).unwrap();
            assert_eq!(none, [false]);
            let ready = wait_readable(&[reader.as_fd()], Some(Instant::now() + HOUR)).unwrap();
            assert_eq!(ready, [true]);
        })
    };
    let write = job(move || {
        sleep(Duration::from_millis(5)).unwrap();
        drop(writer);
    });
    Green::start().run([read(reader.clone()), read(reader), write]);
}

#[test]
fn a_regular_file_is_always_readable() {
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    let green = Green::start();
    green.run([job(move || assert_eq!(wait_readable(&[file.as_fd()], None).unwrap(), [true]))]);
}

#[test]
fn a_panic_ends_its_task_and_no_other() {
    let green = Green::start();
    let (sender, receiver) = channel::<()>(None);
    green.0.spawn([Box::new(move |_| {
        let _sender = sender;
        yield_now();
        panic_quietly();
    }) as Job]);
    let heard = Arc::new(Mutex::new(None));
    green.run([{
        let heard = heard.clone();
        job(move || *heard.lock().unwrap() = Some(receiver.recv()))
    }]);
    assert_eq!(*heard.lock().unwrap(), Some(Err(RecvError::Closed)));
}

#[test]
fn a_full_channel_makes_its_sender_wait_and_a_closed_one_gives_the_value_back() {
    let (sender, receiver) = channel(Some(2));
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let note = |text: String, seen: &Mutex<Vec<String>>| seen.lock().unwrap().push(text);
    let sends = {
        let seen = seen.clone();
        job(move || {
            for number in 0..4 {
                sender.send(number).unwrap();
                note(format!("sent {number}"), &seen);
            }
            yield_now();
            assert_eq!(format!("{:?}", sender.send(4)), "Err(Closed(..))");
        })
    };
    let receives = {
        let seen = seen.clone();
        job(move || {
            for _ in 0..4 {
                note(format!("got {}", receiver.recv().unwrap()), &seen);
            }
        })
    };
    Green::start().run([sends, receives]);
    let seen = seen.lock().unwrap();
    let position = |text: &str| seen.iter().position(|seen| seen == text).unwrap();
    assert!(position("got 0") < position("sent 2"), "{seen:?}");
}

#[test]
fn a_receiver_gives_up_at_its_deadline() {
    let (_sender, receiver) = channel::<()>(None);
    Green::start().run([job(move || {
        let deadline = Instant::now() + Duration::from_millis(2);
        assert_eq!(receiver.recv_until(Some(deadline)), Err(RecvError::TimedOut));
    })]);
}

#[test]
fn a_wait_in_a_destructor_of_a_panic_blocks_the_thread_instead() {
    struct Sleeps;
    impl Drop for Sleeps {
        fn drop(&mut self) {
            assert!(!is_green());
            sleep(Duration::from_millis(1)).unwrap();
        }
    }
    let green = Green::start();
    green.0.spawn([Box::new(|_| {
        let _sleeps = Sleeps;
        panic_quietly();
    }) as Job]);
    green.run([job(|| assert!(is_green() && !std::thread::panicking()))]);
}

/// The numbers of `epoll_wait` and `epoll_pwait` on x86-64, and of `epoll_pwait` on aarch64.
const EPOLL_WAITS: [&str; 3] = ["232", "281", "22"];

#[test]
fn an_executor_without_work_waits_without_a_limit() {
    let green = Green::start();
    let (sender, receiver) = channel::<()>(None);
    let tid = Arc::new(Monitor::new(None));
    let task = {
        let tid = tid.clone();
        job(move || {
            tid.change(|tid| *tid = Some(nix::unistd::gettid()));
            receiver.recv().unwrap_err();
        })
    };
    std::thread::scope(|scope| {
        scope.spawn(|| green.run([task]));
        let tid = tid.wait(None, |tid| *tid).unwrap();
        // The system call that the thread is in, and its arguments; the fourth one of `epoll_wait` is the timeout.
        let waits = || {
            let call = std::fs::read_to_string(format!("/proc/self/task/{tid}/syscall")).unwrap();
            let fields: Vec<&str> = call.split_whitespace().collect();
            let is_epoll = EPOLL_WAITS.contains(&fields[0]);
            is_epoll.then(|| fields[4].trim_start_matches("0x").trim_start_matches("ffffffff").to_owned())
        };
        let time = loop {
            match waits() {
                Some(time) => break time,
                None => std::thread::yield_now(),
            }
        };
        assert_eq!(time, "", "its timeout is -1, for ever");
        drop(sender);
    });
}
