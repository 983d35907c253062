//! Measures what a green task costs: `cargo test --release -p pushflow-green measures -- --ignored --nocapture`.

use std::time::Instant;

use super::*;

/// The nanoseconds for each of `count` steps; the best of five runs.
fn best(count: u32, mut run: impl FnMut()) -> f64 {
    let time = |_| {
        let begin = Instant::now();
        run();
        begin.elapsed().as_secs_f64()
    };
    (0..5).map(time).fold(f64::INFINITY, f64::min) * 1e9 / f64::from(count)
}

#[test]
#[ignore = "prints figures and asserts nothing"]
fn measures_tasks_and_switches() {
    const COUNT: u32 = 1_000_000;
    let green = Green::start();
    let executor = green.0.clone();
    let spawned = best(COUNT, || {
        // Spawned by a task, so that the jobs go through the scheduler's own queue and not through the mailbox.
        let (executor, left) = (executor.clone(), Arc::new(AtomicUsize::new(COUNT as usize)));
        let (sender, receiver) = channel::<()>(None);
        executor.clone().spawn([Box::new(move |_| {
            for _ in 0..COUNT / 1000 {
                executor.spawn((0..1000).map(|_| {
                    let (left, sender) = (left.clone(), sender.clone());
                    Box::new(move |_| {
                        left.fetch_sub(1, Ordering::Relaxed);
                        drop(sender);
                    }) as Job
                }));
                yield_now();
            }
        }) as Job]);
        receiver.recv().unwrap_err();
    });
    let bare = best(COUNT, || {
        let executor = executor.clone();
        let (sender, receiver) = channel::<()>(None);
        executor.clone().spawn([Box::new(move |_| {
            for _ in 0..COUNT / 1000 {
                executor.spawn((0..1000).map(|_| Box::new(|_| ()) as Job));
                yield_now();
            }
            drop(sender);
        }) as Job]);
        receiver.recv().unwrap_err();
    });
    let switch = best(COUNT, || green.run((0..2).map(|_| job(|| (0..COUNT / 2).for_each(|_| yield_now())))));
    let talk = best(COUNT, || {
        let (sender, receiver) = channel(Some(64));
        let sends = job(move || (0..COUNT).for_each(|number| sender.send(number).unwrap()));
        let receives = job(move || while receiver.recv().is_ok() {});
        green.run([sends, receives]);
    });
    println!(
        "a task {bare:.0} ns; with a channel's end {spawned:.0} ns; a switch {switch:.0} ns; a value {talk:.0} ns"
    );
}
