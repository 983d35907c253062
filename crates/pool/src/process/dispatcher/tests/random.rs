//! For any events in any order, no attempt is lost or run twice, no attempt waits while a worker is idle, and the pool
//! comes to its end.
//!
//! The events are chosen at random. After each event the checked pool (`checked_pool.rs`) checks what must be true.

use std::io::Write;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::checked_pool::{AttemptRecord, CheckedPool};
use super::fake_worker::{FakeWorker, ROUTES};
use super::*;

/// The variable with the seed of a run that is to be repeated, as for the black-box tests.
const SEED: &str = "PUSHFLOW_TEST_SEED";

/// The next step of the test.
#[derive(Clone, Debug)]
enum Choice {
    Submit(u8),
    Interrupt(u8),
    /// The worker of this rank takes a step.
    Act(u8, u8),
    /// The next event of the worker of this rank arrives over this route.
    Deliver(u8, u8),
    /// The worker of this rank dies; the flag says whether its channel closes with it.
    Die(u8, bool),
    FailToStart(u8, bool),
    SendGarbage(u8),
    /// A signal stops the worker of this rank, or the worker goes on.
    Stop(u8, bool),
    /// So many milliseconds pass.
    Pass(u16),
    Close,
    Abort,
    /// The process exits; the flag says whether running attempts are terminated.
    Exit(bool),
    LoseGuardian,
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        60 => (1u8..6).prop_map(Choice::Submit),
        40 => any::<u8>().prop_map(Choice::Interrupt),
        300 => (any::<u8>(), any::<u8>()).prop_map(|(rank, choice)| Choice::Act(rank, choice)),
        300 => (any::<u8>(), any::<u8>()).prop_map(|(rank, route)| Choice::Deliver(rank, route)),
        20 => (any::<u8>(), any::<bool>()).prop_map(|(rank, closes)| Choice::Die(rank, closes)),
        4 => (any::<u8>(), any::<bool>()).prop_map(|(rank, exists)| Choice::FailToStart(rank, exists)),
        4 => any::<u8>().prop_map(Choice::SendGarbage),
        8 => (any::<u8>(), any::<bool>()).prop_map(|(rank, stops)| Choice::Stop(rank, stops)),
        50 => (0u16..3).prop_map(Choice::Pass),
        30 => (0u16..3000).prop_map(Choice::Pass),
        1 => Just(Choice::Close),
        1 => Just(Choice::Abort),
        1 => any::<bool>().prop_map(Choice::Exit),
        1 => Just(Choice::LoseGuardian),
    ]
}

impl CheckedPool {
    fn choose(&mut self, choice: Choice) {
        let of_interest = self.processes.iter().filter(|(_, process)| !process.is_over()).map(|(&id, _)| id);
        let of_interest: Vec<WorkerId> = of_interest.collect();
        let process = |rank: u8| of_interest.get(usize::from(rank) % of_interest.len().max(1)).copied();
        match choice {
            Choice::Submit(count) if !self.closing => self.submit(count),
            Choice::Interrupt(which) => self.interrupt(which),
            Choice::Act(rank, choice) => {
                let process = process(rank).and_then(|id| self.processes.get_mut(&id));
                process.into_iter().for_each(|process| process.act(choice, &mut self.begun));
            }
            Choice::Deliver(rank, route) => {
                let route = ROUTES[usize::from(route) % ROUTES.len()];
                let event = process(rank).and_then(|id| self.processes.get_mut(&id)?.deliver(route));
                event.into_iter().for_each(|event| self.on(event));
            }
            Choice::Die(rank, closes) => {
                process(rank).into_iter().for_each(|id| self.process(id, |process| process.die(closes)));
            }
            Choice::FailToStart(rank, exists) => {
                process(rank).into_iter().for_each(|id| self.process(id, |process| process.fail_to_start(exists)));
            }
            Choice::SendGarbage(rank) => {
                process(rank).into_iter().for_each(|id| self.process(id, FakeWorker::send_garbage))
            }
            Choice::Pass(millis) => self.pass(Duration::from_millis(millis.into())),
            Choice::Close | Choice::Abort => {
                self.closing = true;
                self.on(if matches!(choice, Choice::Close) { Event::Close } else { Event::Abort });
            }
            Choice::Exit(terminate) => {
                self.closing = true;
                self.on(Event::Exit { terminate });
            }
            Choice::Stop(rank, stops) => {
                process(rank).into_iter().for_each(|id| self.process(id, |process| process.stop(stops)));
            }
            Choice::LoseGuardian => self.on(Event::GuardianLost { pid: 1 }),
            Choice::Submit(_) => {}
        }
    }

    fn submit(&mut self, count: u8) {
        let first = self.attempts.len() as u64 + 1;
        let ids = first..first + u64::from(count);
        self.attempts.extend(ids.clone().map(|id| (AttemptId(id), AttemptRecord::default())));
        self.on(Event::Submit(ids.map(attempt).collect()));
    }

    /// Interrupts any attempt, or one of the last ones, which are more likely not to have ended.
    fn interrupt(&mut self, which: u8) {
        let last = self.attempts.len() as u64;
        let id = if which.is_multiple_of(4) { u64::from(which) } else { last.saturating_sub(u64::from(which) % 16) };
        if let Some(record) = self.attempts.get_mut(&AttemptId(id)) {
            record.interrupted = true;
            self.on(Event::Interrupt(AttemptId(id)));
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.on(Event::Tick);
        // As the runner does: a tick that is due comes at once, and after it no tick is due for ever.
        for _ in 0..100 {
            if self.dispatcher.next_tick().is_none_or(|at| self.now < at) {
                return;
            }
            self.on(Event::Tick);
        }
        panic!("time alone changes nothing, and is waited for");
    }

    /// All workers perform their commands, all events arrive, and time passes for all timeouts.
    fn come_to_an_end(&mut self) {
        self.closing = true;
        self.on(Event::Close);
        for turn in 0..2_000_u32 {
            if self.dispatcher.is_over() {
                return;
            }
            for worker in self.processes.keys().copied().collect::<Vec<_>>() {
                for choice in [0, 1, 2, 7, 1] {
                    let process = self.processes.get_mut(&worker).expect("none is ever forgotten");
                    process.act(choice, &mut self.begun);
                }
                for route in ROUTES {
                    while let Some(event) = self.processes.get_mut(&worker).and_then(|process| process.deliver(route)) {
                        self.on(event);
                    }
                }
            }
            self.pass(Duration::from_millis(u64::from(turn % 20)));
        }
        panic!("the pool does not come to its end");
    }
}

/// So many cases, with the seed of the environment variable, or else of the clock. The seed is printed even if they
/// pass.
fn seeded(cases: u32) -> ProptestConfig {
    let seed = match std::env::var(SEED) {
        Ok(seed) => seed.parse().unwrap_or_else(|error| panic!("{SEED}={seed:?}: {error}")),
        Err(_) => u64::from(std::time::UNIX_EPOCH.elapsed().expect("the clock is past 1970").subsec_nanos()),
    };
    // The test harness captures the output of the print macros, and shows it of failed tests only.
    writeln!(std::io::stderr(), "dispatcher: {SEED}={seed}").ok();
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(seeded(500))]

    #[test]
    fn no_attempt_is_lost_or_run_twice_or_waits_while_a_worker_is_idle_and_the_pool_ends(
        choices in proptest::collection::vec(choice(), 1..400),
        max_workers in 1usize..5,
        scaling in any::<bool>(),
        idle_seconds in 1u64..10,
        max_tasks in prop_oneof![Just(usize::MAX), 1usize..8],
    ) {
        let idle_timeout = Duration::from_secs(idle_seconds);
        let mut pool = CheckedPool::open(Rules { max_workers, scaling, idle_timeout, max_tasks, ..rules() });
        for choice in choices {
            pool.choose(choice);
        }
        pool.come_to_an_end();
        let lost: Vec<_> = pool.attempts.iter().filter(|(_, record)| !record.ended).map(|(id, _)| id).collect();
        prop_assert!(lost.is_empty(), "lost: {:?}", lost);
        prop_assert!(pool.dispatcher.assigned_to.is_empty(), "nothing is left of what has ended");
    }
}
