//! Retries: a task that failed is tried again while its actor has retries left for that kind of failure.
//!
//! Each retry is an attempt of its own, with the same inputs. The failure before it is reported as handled; only the
//! last failure is that of the actor. A run that is closing or stopping retries nothing.

use pushflow_model::{AttemptId, TaskError, TryNumber};

use super::in_flight::{AttemptStage, InFlight};
use super::message::Action;
use super::phase::Phase;
use super::{Reactor, Step};

impl Reactor {
    /// Retries a failed attempt. Gives the attempt and its error back if no retry is left for it.
    pub(super) fn retry(
        &mut self,
        mut open: InFlight,
        attempt: AttemptId,
        error: TaskError,
        step: &mut Step<'_>,
    ) -> Option<(InFlight, TaskError)> {
        let goes_on = matches!(self.phase, Phase::Running) && self.soft_stop.is_none();
        let retry = open.retry.as_mut().filter(|_| goes_on);
        let left = retry.and_then(|retry| retry.left.take(error.kind).then_some(retry));
        let Some(retry) = left else { return Some((open, error)) };
        let delay = retry.left.pause(retry.made, chance(self.seed, attempt));
        retry.made = retry.made.saturating_add(1);
        let inputs = retry.inputs.clone();
        let number = open.tried.number.saturating_add(1);
        let tried = TryNumber { number, of: number.saturating_add(retry.left.left(error.kind)), ..open.tried };
        let (actor, failed) = (open.actor, attempt);
        self.note_failure(open.execution(failed), error, true, step);
        (open.tried, open.opened) = (tried, step.now);
        if delay.is_zero() {
            open.stage = AttemptStage::Queued;
            let attempt = self.open_attempt(open);
            step.actions.push(Action::Retried { failed, attempt, actor, tried, delay });
            step.actions.push(Action::Submit { attempt, actor, tried, inputs });
        } else {
            open.stage = AttemptStage::Delayed { inputs };
            let attempt = self.open_attempt(open);
            self.deadlines.set(attempt, step.now.saturating_add(delay));
            step.actions.push(Action::Retried { failed, attempt, actor, tried, delay });
        }
        None
    }
}

/// A random number from 0 to 1 for the retry of an attempt: the output function of SplitMix64 (Steele, Lea and Flood,
/// 2014) on the seed and the number of the attempt. It is the same on every machine, so that a run can be replayed.
fn chance(seed: u64, attempt: AttemptId) -> f64 {
    let mut mixed = seed.wrapping_add(attempt.0.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_spread_over_its_range_and_follows_from_the_seed() {
        let of = |seed| (1..=1000).map(|attempt| chance(seed, AttemptId(attempt))).collect::<Vec<_>>();
        let numbers = of(7);
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        for tenth in 0..10 {
            let within = numbers.iter().filter(|&&number| (number * 10.0) as i32 == tenth).count();
            assert!((50..200).contains(&within), "{within} of 1000 numbers in tenth {tenth}");
        }
        assert_eq!((numbers == of(7), numbers == of(8)), (true, false));
    }
}
