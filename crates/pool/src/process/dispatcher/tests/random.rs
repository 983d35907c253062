//! Whatever happens in whatever order, every attempt ends exactly once and everything comes to an end.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use proptest::prelude::*;

use super::*;

/// What a pretended worker may do next, chosen at random.
#[derive(Clone, Debug)]
enum Choice {
    Submit(u8),
    Interrupt(u8),
    /// The worker of this rank takes its next step, in one of several ways.
    Step(u8, u8),
    Pass(u16),
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        (1u8..6).prop_map(Choice::Submit),
        any::<u8>().prop_map(Choice::Interrupt),
        (any::<u8>(), any::<u8>()).prop_map(|(rank, way)| Choice::Step(rank, way)),
        (any::<u8>(), any::<u8>()).prop_map(|(rank, way)| Choice::Step(rank, way)),
        (any::<u8>(), any::<u8>()).prop_map(|(rank, way)| Choice::Step(rank, way)),
        (0u16..3000).prop_map(Choice::Pass),
    ]
}

/// A pretended worker: what of its end has been told already.
#[derive(Default)]
struct Pretended {
    started: bool,
    ready: bool,
    given: VecDeque<AttemptId>,
    begun: Option<AttemptId>,
    unread: Vec<AttemptId>,
    dying: bool,
    /// Since when it is dying, or has exited: after a while the dispatcher gives it up and replaces it.
    dying_since: Option<Instant>,
    exited: bool,
    closed: bool,
    asked_back: Option<Vec<AttemptId>>,
    drain_asked: bool,
    drained: bool,
}

struct Pretence {
    now: Instant,
    workers: BTreeMap<WorkerId, Pretended>,
    submitted: u64,
    ended: HashMap<AttemptId, usize>,
    begun: BTreeSet<AttemptId>,
}

impl Pretence {
    fn obey(&mut self, actions: Vec<Action>, limit: usize) {
        for action in actions {
            match action {
                Action::Start(worker) => drop(self.workers.insert(worker, Pretended::default())),
                Action::Run { worker, attempts } => {
                    let worker = self.workers.get_mut(&worker).expect("a worker that was started");
                    assert!(worker.ready, "attempts are given to workers that are ready");
                    worker.given.extend(attempts.iter().map(|attempt| attempt.id));
                }
                Action::AskBack { worker, attempts } => {
                    if let Some(worker) = self.workers.get_mut(&worker) {
                        worker.asked_back = Some(attempts);
                    }
                }
                Action::Dismiss(worker) | Action::End(worker) => {
                    if let Some(worker) = self.workers.get_mut(&worker) {
                        worker.dying = true;
                        worker.dying_since.get_or_insert(self.now);
                    }
                }
                Action::DrainOutput(worker) => {
                    if let Some(worker) = self.workers.get_mut(&worker) {
                        worker.drain_asked = true;
                    }
                }
                Action::Report(PoolEvent::Finished { attempt, .. } | PoolEvent::Failed { attempt, .. }) => {
                    *self.ended.entry(attempt).or_default() += 1;
                }
                Action::Interrupt { .. } | Action::Signal(..) | Action::Report(_) => {}
            }
            let given_up = Duration::from_secs(10);
            let counts = |worker: &&Pretended| worker.dying_since.is_none_or(|since| since + given_up > self.now);
            assert!(self.workers.values().filter(counts).count() <= limit, "never more workers than allowed");
        }
    }

    /// The next thing that a worker does: `way` chooses among what is possible.
    fn step(&mut self, rank: u8, way: u8) -> Option<Event> {
        let index = usize::from(rank) % self.workers.len().max(1);
        let (&id, worker) = self.workers.iter_mut().nth(index)?;
        if worker.dying || worker.exited {
            return self.die(id, way);
        }
        if !worker.started {
            worker.started = true;
            return Some(Event::Started { worker: id, pid: id.0 as u32 });
        }
        // One worker in sixteen dies wherever it is; never the first, whose failure to start breaks the pool.
        if way.is_multiple_of(16) && id.0 > 1 {
            worker.dying = true;
            return self.die(id, way / 16);
        }
        if !worker.ready {
            worker.ready = true;
            return Some(Event::Ready { worker: id, pid: id.0 as u32 });
        }
        if let Some(asked) = worker.asked_back.take() {
            let attempts: Vec<AttemptId> =
                worker.given.iter().copied().filter(|id| asked.contains(id) && worker.begun != Some(*id)).collect();
            worker.given.retain(|id| !attempts.contains(id));
            return Some(Event::GivenBack { worker: id, attempts });
        }
        if let Some(attempt) = worker.unread.pop() {
            return Some(Event::OutputEnd { worker: id, stream: Stream::Stderr, attempt });
        }
        let &attempt = worker.given.front()?;
        if worker.begun != Some(attempt) {
            worker.begun = Some(attempt);
            assert!(self.begun.insert(attempt), "an attempt is never begun twice");
            return Some(Event::Tick);
        }
        worker.given.pop_front();
        Some(match way % 3 {
            0 => Event::Failed { worker: id, attempt, error: TaskError::new(ErrorKind::Raised, "no") },
            way => {
                if way == 1 {
                    worker.unread.push(attempt);
                }
                Event::Finished { worker: id, attempt, result: Data::new(), marked: way == 1 }
            }
        })
    }

    /// The parts of a death, in any order that can happen.
    fn die(&mut self, id: WorkerId, way: u8) -> Option<Event> {
        let worker = self.workers.get_mut(&id)?;
        if !worker.closed && (way.is_multiple_of(2) || worker.exited) {
            worker.closed = true;
            return Some(Event::ChannelClosed { worker: id, garbage: None });
        }
        if !worker.exited {
            worker.exited = true;
            worker.dying_since.get_or_insert(self.now);
            let (exit, begun) = (Exit::Signal(9), worker.begun);
            return Some(Event::Exited { worker: id, exit, peak_memory_kib: 0, begun });
        }
        if worker.drain_asked && !worker.drained {
            worker.drained = true;
            return Some(Event::OutputDrained { worker: id });
        }
        self.workers.remove(&id);
        Some(Event::Gone { worker: id })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn every_attempt_ends_exactly_once_and_the_pool_ends_too(
        choices in proptest::collection::vec(choice(), 1..200),
        max_workers in 1usize..5,
        scaling in any::<bool>(),
    ) {
        let rules = Rules { max_workers, scaling, ..rules() };
        let mut dispatcher = Dispatcher::new(rules);
        let mut now = Instant::now();
        let (workers, ended, begun) = Default::default();
        let mut pretence = Pretence { now, workers, submitted: 0, ended, begun };
        let mut actions = Vec::new();
        dispatcher.open(now, &mut actions);
        pretence.obey(std::mem::take(&mut actions), max_workers);
        for choice in choices {
            let event = match choice {
                Choice::Submit(count) => {
                    let first = pretence.submitted + 1;
                    pretence.submitted += u64::from(count);
                    Some(Event::Submit((first..=pretence.submitted).map(attempt).collect()))
                }
                Choice::Interrupt(which) => Some(Event::Interrupt(AttemptId(u64::from(which) % 20))),
                Choice::Step(rank, way) => pretence.step(rank, way),
                Choice::Pass(millis) => {
                    now += Duration::from_millis(millis.into());
                    pretence.now = now;
                    Some(Event::Tick)
                }
            };
            if let Some(event) = event {
                dispatcher.on(event, now, &mut actions);
                pretence.obey(std::mem::take(&mut actions), max_workers);
            }
        }
        dispatcher.on(Event::Close, now, &mut actions);
        pretence.obey(std::mem::take(&mut actions), max_workers);
        // From here everybody does what is asked of them; time passes for what only waits.
        for turn in 0..100_000u32 {
            if dispatcher.is_over() {
                break;
            }
            now += Duration::from_millis(10);
            pretence.now = now;
            let event = pretence.step((turn % 7) as u8, 1).unwrap_or(Event::Tick);
            dispatcher.on(event, now, &mut actions);
            pretence.obey(std::mem::take(&mut actions), max_workers);
        }
        prop_assert!(dispatcher.is_over(), "the pool comes to its end");
        prop_assert_eq!(pretence.ended.len() as u64, pretence.submitted, "every attempt has ended");
        prop_assert!(pretence.ended.values().all(|&times| times == 1), "exactly once: {:?}", pretence.ended);
    }
}
