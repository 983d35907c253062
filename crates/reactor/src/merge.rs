//! [`InputState`]: what an actor keeps of its arrivals, and which executions an arrival triggers.
//!
//! A merge is the rule of ewoks graphs (`docs/ewoks.md`; `docs/parity.md` P147, P148). Each link into an actor keeps
//! its data in one of four ways:
//!
//! - *start*: the run's own inputs. All of them are kept, a later one on top of an earlier one.
//! - *required*: the latest data of each link is kept for the whole run.
//! - *cached* (optional): the latest data of each link is kept for the whole run, once there is any.
//! - *loose* (optional): each arrival is kept until the actor has run. From then on only the last arrival of all loose
//!   links is kept.
//!
//! An arrival on any link runs the actor when each required link has delivered at least once. The first time, the actor
//! runs once for each loose arrival kept until then, in their order, or once if there is none, and the last of them
//! stays kept. Later it runs once for each arrival, with the loose arrival kept by then.
//!
//! The inputs of the actor are, later over earlier: start, required in link order, cached in link order, one loose
//! arrival.
//!
//! Links of the arrival `Direct` run their target at once: their data never comes here.

use pushflow_model::Data;

use super::join::Join;
use super::links::InputSlot;

/// What one actor keeps of its arrivals.
#[derive(Debug)]
pub(super) enum InputState {
    Merge(Merge),
    Join(Join),
}

impl InputState {
    /// How many arrivals wait for arrivals on other links.
    pub(super) fn waiting(&self) -> usize {
        match self {
            InputState::Merge(merge) => merge.buffered(),
            InputState::Join(join) => join.kept(),
        }
    }

    /// Keeps one arrival and says what the actor can do now.
    pub(super) fn arrive(&mut self, slot: InputSlot, data: Data) -> Ready {
        match (self, slot) {
            (InputState::Join(join), InputSlot::Joined(link)) => {
                join.arrive(link, data).map_or(Ready::NotYet, Ready::Once)
            }
            (InputState::Merge(merge), slot) => merge.arrive(slot, data),
            (InputState::Join(_), _) => unreachable!("each link into a join has a number there"),
        }
    }
}

/// What one actor keeps of its arrivals by the rule of ewoks graphs.
#[derive(Debug, Default)]
pub(super) struct Merge {
    start: Option<Data>,
    required: Vec<Option<Data>>,
    /// How many of `required` have not delivered.
    missing: usize,
    cached: Vec<Option<Data>>,
    loose: Loose,
}

/// The arrivals on the loose links of one actor.
#[derive(Debug)]
enum Loose {
    /// Before the first execution: all of them.
    Buffered(Vec<Data>),
    /// After the first execution: the last one, if any.
    Retained(Option<Data>),
}

impl Default for Loose {
    fn default() -> Self {
        Loose::Buffered(Vec::new())
    }
}

/// What an arrival lets an actor do.
#[derive(Debug)]
pub(super) enum Ready {
    /// A required link has not delivered.
    NotYet,
    /// Run once with these inputs.
    Once(Data),
    /// Run once with each of these inputs, in this order.
    Each(Vec<Data>),
}

impl Merge {
    /// The merge of an actor with so many required and so many cached links.
    pub(super) fn new(required: usize, cached: usize) -> Self {
        Merge { required: vec![None; required], missing: required, cached: vec![None; cached], ..Merge::default() }
    }

    /// How many loose arrivals wait for the first execution.
    pub(super) fn buffered(&self) -> usize {
        match &self.loose {
            Loose::Buffered(waiting) => waiting.len(),
            Loose::Retained(_) => 0,
        }
    }

    /// Keeps one arrival and says what the actor can do now.
    pub(super) fn arrive(&mut self, slot: InputSlot, data: Data) -> Ready {
        self.keep(slot, data);
        if self.missing > 0 {
            return Ready::NotYet;
        }
        match std::mem::take(&mut self.loose) {
            Loose::Buffered(waiting) => self.first_runs(waiting),
            Loose::Retained(last) => {
                let inputs = self.inputs(last.as_ref());
                self.loose = Loose::Retained(last);
                Ready::Once(inputs)
            }
        }
    }

    fn keep(&mut self, slot: InputSlot, data: Data) {
        match slot {
            InputSlot::Start => self.start = Some(self.start.take().unwrap_or_default().merged(&data)),
            InputSlot::Required(slot) => {
                if self.required[slot as usize].replace(data).is_none() {
                    self.missing -= 1;
                }
            }
            InputSlot::Cached(slot) => self.cached[slot as usize] = Some(data),
            InputSlot::Loose | InputSlot::Joined(_) => match &mut self.loose {
                Loose::Buffered(waiting) => waiting.push(data),
                Loose::Retained(last) => *last = Some(data),
            },
        }
    }

    fn first_runs(&mut self, mut waiting: Vec<Data>) -> Ready {
        let ready = match waiting.as_slice() {
            [] => Ready::Once(self.inputs(None)),
            [only] => Ready::Once(self.inputs(Some(only))),
            several => Ready::Each(several.iter().map(|loose| self.inputs(Some(loose))).collect()),
        };
        self.loose = Loose::Retained(waiting.pop());
        ready
    }

    fn inputs(&self, loose: Option<&Data>) -> Data {
        let kept = self.start.iter().chain(self.required.iter().flatten()).chain(self.cached.iter().flatten());
        let mut parts = kept.chain(loose);
        let lowest = parts.next().cloned().unwrap_or_default();
        parts.fold(lowest, Data::merged)
    }
}
