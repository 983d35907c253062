//! Whatever happens in whatever order, no attempt is lost or run twice, none waits while a worker is idle, and everything
//! comes to an end.
//!
//! The owner of the pool keeps an account of what it asked for and what it was told, and after each event compares that
//! with what must be true. The dispatcher's own idea of its state is not asked, but for when a worker is buried, and when
//! it has given up to start others for a while, which it does not tell.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::pretence::{Pretended, WAYS, answer_of};
use super::*;

/// The variable that holds the seed of a run that is to be repeated, as for the black-box tests.
const SEED: &str = "PUSHFLOW_TEST_SEED";

/// What happens next.
#[derive(Clone, Debug)]
enum Choice {
    Submit(u8),
    Interrupt(u8),
    /// The worker of this rank takes a step.
    Act(u8, u8),
    /// Something arrives that is on its way from the worker of this rank.
    Deliver(u8, u8),
    /// The worker of this rank dies; whether its channel closes with it.
    Die(u8, bool),
    FailToStart(u8, bool),
    Babble(u8),
    /// A signal stops the worker of this rank, or it goes on.
    Stop(u8, bool),
    /// Milliseconds.
    Pass(u16),
    Close,
    Abort,
    /// The process exits; whether what runs is terminated.
    Exit(bool),
    LoseGuardian,
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        60 => (1u8..6).prop_map(Choice::Submit),
        40 => any::<u8>().prop_map(Choice::Interrupt),
        300 => (any::<u8>(), any::<u8>()).prop_map(|(rank, choice)| Choice::Act(rank, choice)),
        300 => (any::<u8>(), any::<u8>()).prop_map(|(rank, way)| Choice::Deliver(rank, way)),
        20 => (any::<u8>(), any::<bool>()).prop_map(|(rank, closes)| Choice::Die(rank, closes)),
        4 => (any::<u8>(), any::<bool>()).prop_map(|(rank, exists)| Choice::FailToStart(rank, exists)),
        4 => any::<u8>().prop_map(Choice::Babble),
        8 => (any::<u8>(), any::<bool>()).prop_map(|(rank, stops)| Choice::Stop(rank, stops)),
        50 => (0u16..3).prop_map(Choice::Pass),
        30 => (0u16..3000).prop_map(Choice::Pass),
        1 => Just(Choice::Close),
        1 => Just(Choice::Abort),
        1 => any::<bool>().prop_map(Choice::Exit),
        1 => Just(Choice::LoseGuardian),
    ]
}

/// What the owner knows of an attempt.
#[derive(Default)]
struct Account {
    /// With which worker it is.
    given: Option<WorkerId>,
    /// How often it was given to one.
    times_given: u32,
    asked_back: bool,
    interrupted: bool,
    /// It was told that it runs, and where.
    runs: Option<u32>,
    /// The worker's answer has arrived: whether it was a result, and when.
    answered: Option<Answer>,
    ended: bool,
}

#[derive(Clone, Copy)]
struct Answer {
    is_result: bool,
    from: Option<WorkerId>,
    at: Instant,
}

/// What the owner knows of a worker.
#[derive(Default)]
struct Known {
    ready: bool,
    /// How many attempts it was given, without those that it gave back.
    taken: usize,
    /// It was told to go, or something has arrived by which it is of no more use.
    ending: bool,
    /// A signal has stopped it.
    stopped: bool,
    /// When its end was asked for.
    end_asked: Option<Instant>,
    /// When its exit report arrived.
    exited: Option<Instant>,
}

struct Owner {
    dispatcher: Dispatcher,
    max_workers: usize,
    max_tasks: usize,
    now: Instant,
    processes: BTreeMap<WorkerId, Pretended>,
    known: BTreeMap<WorkerId, Known>,
    accounts: BTreeMap<AttemptId, Account>,
    begun: BTreeSet<AttemptId>,
    broken: bool,
    closing: bool,
}

impl Owner {
    fn open(rules: Rules) -> Owner {
        let mut owner = Owner {
            max_workers: rules.max_workers,
            max_tasks: rules.max_tasks,
            dispatcher: Dispatcher::new(rules),
            now: Instant::now(),
            processes: BTreeMap::new(),
            known: BTreeMap::new(),
            accounts: BTreeMap::new(),
            begun: BTreeSet::new(),
            broken: false,
            closing: false,
        };
        let mut actions = Vec::new();
        owner.dispatcher.open(owner.now, &mut actions);
        owner.obey(actions);
        owner
    }

    fn on(&mut self, event: Event) {
        self.note(&event);
        let mut actions = Vec::new();
        self.dispatcher.on(event, self.now, &mut actions);
        let not_sent = self.obey(actions);
        for (worker, attempt) in not_sent {
            let error = TaskError::new(ErrorKind::BadInput, "too deep");
            self.on(Event::NotSent { worker, attempt, error });
        }
        self.check();
    }

    // ----- what arrives -----

    fn note(&mut self, event: &Event) {
        let told_to_end = |owner: &mut Owner, worker: &WorkerId| owner.known.entry(*worker).or_default().ending = true;
        match event {
            Event::Stopped { worker, .. } => self.known.entry(*worker).or_default().stopped = true,
            Event::Continued { worker, .. } => self.known.entry(*worker).or_default().stopped = false,
            // The word of one that is being ended comes too late: it is replaced as one that could not be started.
            Event::Ready { worker, .. } => {
                let known = self.known.entry(*worker).or_default();
                known.ready |= known.end_asked.is_none();
            }
            Event::ChannelClosed { worker, .. } | Event::Refused { worker, .. } => told_to_end(self, worker),
            Event::Exited { worker, .. } => {
                told_to_end(self, worker);
                self.known.entry(*worker).or_default().exited = Some(self.now);
            }
            Event::Gone { worker } => told_to_end(self, worker),
            Event::GivenBack { worker, attempts } => {
                let of_worker = self.accounts.values_mut().filter(|account| account.given == Some(*worker));
                of_worker.for_each(|account| account.asked_back = false);
                for attempt in attempts {
                    let account = self.accounts.get_mut(attempt).expect("it was submitted");
                    self.known.entry(*worker).or_default().taken -= usize::from(account.given == Some(*worker));
                    account.given = account.given.filter(|holder| holder != worker);
                }
            }
            Event::NotSent { worker, .. } => self.known.entry(*worker).or_default().taken -= 1,
            Event::GuardianLost { .. } => (self.broken, self.known) = (true, BTreeMap::new()),
            _ => {}
        }
        if let Some(attempt) = answer_of(event) {
            let account = self.accounts.get_mut(&attempt).expect("it was submitted");
            // What comes after the end of its attempt was too late.
            if !account.ended {
                let is_result = matches!(event, Event::Finished { .. });
                account.answered.get_or_insert(Answer { is_result, from: account.given, at: self.now });
            }
            account.given = None;
        }
    }

    // ----- what is asked for and told -----

    /// What could not be sent.
    fn obey(&mut self, actions: Vec<Action>) -> Vec<(WorkerId, AttemptId)> {
        let mut not_sent = Vec::new();
        // What fails because the pool is broken is told before that it is.
        self.broken |= actions.iter().any(|action| matches!(action, Action::Report(PoolEvent::Broken { .. })));
        for action in actions {
            match action {
                Action::Start(worker) => {
                    self.processes.insert(worker, Pretended::new(worker));
                    self.known.insert(worker, Known::default());
                }
                Action::Run { worker, attempts } => {
                    let (refused, sent): (Vec<_>, Vec<_>) =
                        attempts.into_iter().map(|it| it.id).partition(|id| id.0.is_multiple_of(13));
                    self.give(worker, &refused);
                    self.give(worker, &sent);
                    not_sent.extend(refused.into_iter().map(|attempt| (worker, attempt)));
                    self.process(worker, |process| process.run(sent));
                }
                Action::AskBack { worker, attempts } => {
                    for attempt in &attempts {
                        self.accounts.get_mut(attempt).expect("it was submitted").asked_back = true;
                    }
                    self.process(worker, |process| process.ask_back(attempts));
                }
                Action::Interrupt { worker, attempt } => self.process(worker, |process| process.interrupt(attempt)),
                Action::Dismiss(worker) => {
                    assert!(!self.has_work(worker), "a worker is let go that has attempts");
                    self.known.entry(worker).or_default().ending = true;
                    self.process(worker, Pretended::leave);
                }
                Action::Signal(worker, _) => self.process(worker, Pretended::terminate),
                Action::End(worker) => {
                    self.check_end(worker);
                    let known = self.known.entry(worker).or_default();
                    known.ending = true;
                    known.end_asked.get_or_insert(self.now);
                    self.process(worker, |process| process.die(true));
                }
                Action::DrainOutput(worker) => self.process(worker, Pretended::drain_output),
                Action::Report(event) => self.hear(event),
            }
        }
        not_sent
    }

    /// A worker is ended for a reason: it is of no more use, it was never ready, or an attempt has to end.
    fn check_end(&self, worker: WorkerId) {
        let known = &self.known[&worker];
        let mut given = self.accounts.values().filter(|account| account.given == Some(worker));
        let reason =
            known.ending || !known.ready || known.stopped || self.closing || given.any(|account| account.interrupted);
        assert!(reason, "worker {worker:?} is ended without a reason");
    }

    fn process(&mut self, worker: WorkerId, ask: impl FnOnce(&mut Pretended)) {
        self.processes.get_mut(&worker).map(ask);
    }

    fn give(&mut self, worker: WorkerId, attempts: &[AttemptId]) {
        let known = &self.known[&worker];
        let waits = known.ready && !known.ending && !known.stopped;
        assert!(waits, "attempts are given to workers that wait for them");
        for attempt in attempts {
            let account = self.accounts.get_mut(attempt).expect("it was submitted");
            assert!(!account.ended, "{attempt} is over");
            assert!(!account.interrupted, "{attempt} was to end, and is to run");
            (account.given, account.asked_back) = (Some(worker), false);
            account.times_given += 1;
        }
        let known = self.known.entry(worker).or_default();
        known.taken += attempts.len();
        let may_be_replaced = self.dispatcher.starts_again.is_none();
        assert!(
            known.taken <= self.max_tasks || !may_be_replaced,
            "{worker:?} is given more attempts than a worker may run"
        );
    }

    fn hear(&mut self, event: PoolEvent) {
        match event {
            PoolEvent::Started { attempt, pid } => {
                let is_free = self.accounts.values().all(|account| account.runs != Some(pid));
                assert!(is_free, "{attempt} starts while its worker runs another");
                let account = self.accounts.get_mut(&attempt).expect("it was submitted");
                assert!(!account.ended, "{attempt} is over, and starts");
                assert!(account.runs.replace(pid).is_none(), "{attempt} has started twice");
            }
            PoolEvent::Requeued { attempt } => {
                let account = self.accounts.get_mut(&attempt).expect("it was submitted");
                assert!(account.runs.take().is_some(), "{attempt} had not started");
                assert!(!self.begun.contains(&attempt), "{attempt} has begun, and waits again");
                account.given = None;
            }
            PoolEvent::Finished { attempt, .. } => {
                self.end(attempt);
                let answered = self.accounts[&attempt].answered;
                assert!(answered.is_some_and(|answer| answer.is_result), "{attempt} has no result");
            }
            PoolEvent::Failed { attempt, error } => {
                self.end(attempt);
                self.check_failure(attempt, &error);
            }
            PoolEvent::Broken { .. }
            | PoolEvent::Output { .. }
            | PoolEvent::WorkerStarted { .. }
            | PoolEvent::Blocked { .. }
            | PoolEvent::ProcessStopped { .. }
            | PoolEvent::ProcessContinued { .. }
            | PoolEvent::WorkerEnded { .. } => {}
        }
    }

    fn end(&mut self, attempt: AttemptId) {
        let account = self.accounts.get_mut(&attempt).expect("it was submitted");
        assert!(!std::mem::replace(&mut account.ended, true), "{attempt} ends twice");
        account.runs = None;
    }

    /// A failure has a reason: an answer, an interrupt, or the death of a worker that had begun it and had not answered.
    fn check_failure(&mut self, attempt: AttemptId, error: &TaskError) {
        let account = self.accounts.get_mut(&attempt).expect("it was submitted");
        let (given, times_given) = (account.given.take(), account.times_given);
        if self.broken || self.closing && error.kind == ErrorKind::Stopped {
            return;
        }
        let had_result = account.answered.is_some_and(|answer| answer.is_result);
        assert!(!had_result, "{attempt} had a result, and fails: {error}");
        if account.answered.is_some() || account.interrupted {
            return;
        }
        assert_eq!(error.kind, ErrorKind::WorkerLost, "{attempt} fails without a reason: {error}");
        if given.is_some_and(|worker| self.was_given_up(worker)) {
            return;
        }
        assert!(self.begun.contains(&attempt) || times_given >= 3, "{attempt} had not begun, and is lost");
        if let Some(worker) = given {
            let since = self.known[&worker].exited.expect("its worker has ended");
            let late = self.now >= since + Duration::from_secs(2);
            assert!(late || !self.processes[&worker].has_answered(attempt), "{attempt} is lost, and its answer comes");
        }
    }

    /// Whether nothing was heard of a worker's end for so long that it counts as ended.
    fn was_given_up(&self, worker: WorkerId) -> bool {
        let known = &self.known[&worker];
        let overdue = known.end_asked.is_some_and(|at| at + Duration::from_secs(10) <= self.now);
        known.exited.is_none() && overdue
    }

    // ----- what must be true after each event -----

    fn check(&self) {
        if self.broken {
            return assert!(self.accounts.values().all(|it| it.ended || it.given.is_some() || it.answered.is_some()));
        }
        assert!(self.dispatcher.workers() <= self.max_workers, "more workers than allowed");
        let open = || self.accounts.iter().filter(|(_, account)| !account.ended && account.answered.is_none());
        let waiting = open().find(|(_, account)| account.given.is_none_or(|worker| self.is_buried(worker)));
        let idle = self
            .known
            .iter()
            .find(|(worker, known)| known.ready && !known.ending && !known.stopped && !self.has_work(**worker));
        if let Some((attempt, _)) = waiting {
            assert!(idle.is_none(), "{attempt} waits, and worker {:?} is idle", idle.map(|(worker, _)| worker));
            // One that could not be started is replaced when all about its end is known: it may break the pool.
            let comes =
                |(worker, known): (&WorkerId, &Known)| !known.ending || !known.ready && !self.is_buried(*worker);
            let full = self.dispatcher.workers() == self.max_workers;
            assert!(full || self.known.iter().any(comes), "{attempt} waits, and no worker is there or started");
        } else if idle.is_some() && self.is_held_up() {
            let soon = self.now + Duration::from_millis(1);
            let asks = self.dispatcher.next_tick().is_some_and(|at| at <= soon);
            assert!(asks, "attempts wait behind others while a worker is idle, and are not asked back");
        }
        self.check_settling();
    }

    /// What was answered is told within a moment, whatever of its output is missing, unless its worker's death is the
    /// moment.
    fn check_settling(&self) {
        for (attempt, account) in self.accounts.iter().filter(|(_, account)| !account.ended) {
            if let Some(Answer { from: Some(worker), at, .. }) = account.answered
                && self.known[&worker].exited.is_none()
            {
                assert!(self.now < at + Duration::from_secs(5), "{attempt} was answered, and is not told");
            }
        }
    }

    /// All is known of its death. What it had not begun, and nobody was told to run, waits again without a word.
    fn is_buried(&self, worker: WorkerId) -> bool {
        let buried = |worker: &Worker| matches!(worker.state, State::Buried);
        self.dispatcher.workers.get(&worker).is_none_or(buried)
    }

    fn has_work(&self, worker: WorkerId) -> bool {
        self.accounts.values().any(|account| account.given == Some(worker) && !account.ended)
    }

    /// Whether some worker has attempts behind the first that were not asked back.
    fn is_held_up(&self) -> bool {
        self.known.iter().filter(|(_, known)| known.ready && !known.ending && !known.stopped).any(|(worker, _)| {
            let of_worker = || self.accounts.values().filter(|account| account.given == Some(*worker));
            // Until what the one before printed has been read, it is not told that the first of them runs.
            let first = usize::from(of_worker().all(|account| account.runs.is_none()));
            of_worker().filter(|account| account.runs.is_none() && !account.asked_back).count() > first
        })
    }

    // ----- what happens -----

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
            Choice::Deliver(rank, way) => {
                let way = WAYS[usize::from(way) % WAYS.len()];
                let event = process(rank).and_then(|id| self.processes.get_mut(&id)?.deliver(way));
                event.into_iter().for_each(|event| self.on(event));
            }
            Choice::Die(rank, closes) => {
                process(rank).into_iter().for_each(|id| self.process(id, |process| process.die(closes)));
            }
            Choice::FailToStart(rank, exists) => {
                process(rank).into_iter().for_each(|id| self.process(id, |process| process.fail_to_start(exists)));
            }
            Choice::Babble(rank) => process(rank).into_iter().for_each(|id| self.process(id, Pretended::babble)),
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
        let first = self.accounts.len() as u64 + 1;
        let ids = first..first + u64::from(count);
        self.accounts.extend(ids.clone().map(|id| (AttemptId(id), Account::default())));
        self.on(Event::Submit(ids.map(attempt).collect()));
    }

    /// Any attempt, or one of the last ones, which are more likely to be under way.
    fn interrupt(&mut self, which: u8) {
        let last = self.accounts.len() as u64;
        let id = if which.is_multiple_of(4) { u64::from(which) } else { last.saturating_sub(u64::from(which) % 16) };
        if let Some(account) = self.accounts.get_mut(&AttemptId(id)) {
            account.interrupted = true;
            self.on(Event::Interrupt(AttemptId(id)));
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.on(Event::Tick);
        // As the runner does: what is due is due at once, and not for ever.
        for _ in 0..100 {
            if self.dispatcher.next_tick().is_none_or(|at| self.now < at) {
                return;
            }
            self.on(Event::Tick);
        }
        panic!("time alone changes nothing, and is waited for");
    }

    /// Everybody does what is asked of them and everything arrives; time passes for what only waits.
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
                for way in WAYS {
                    while let Some(event) = self.processes.get_mut(&worker).and_then(|process| process.deliver(way)) {
                        self.on(event);
                    }
                }
            }
            self.pass(Duration::from_millis(u64::from(turn % 20)));
        }
        panic!("the pool does not come to its end");
    }
}

/// So many cases of the seed in the environment, or else of the clock; the seed is printed, also when they pass.
fn seeded(cases: u32) -> ProptestConfig {
    let seed = match std::env::var(SEED) {
        Ok(seed) => seed.parse().unwrap_or_else(|error| panic!("{SEED}={seed:?}: {error}")),
        Err(_) => u64::from(std::time::UNIX_EPOCH.elapsed().expect("the clock is past 1970").subsec_nanos()),
    };
    // The test harness collects what the macros print, and shows it only of tests that fail.
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
        let mut owner = Owner::open(Rules { max_workers, scaling, idle_timeout, max_tasks, ..rules() });
        for choice in choices {
            owner.choose(choice);
        }
        owner.come_to_an_end();
        let lost: Vec<_> = owner.accounts.iter().filter(|(_, account)| !account.ended).map(|(id, _)| id).collect();
        prop_assert!(lost.is_empty(), "lost: {:?}", lost);
        prop_assert!(owner.dispatcher.holders.is_empty(), "nothing is left of what has ended");
    }
}
