//! [`Random`]: reproducible random numbers; [`say`]: prints a line also when a test passes.
//!
//! Each test that acts at random moments prints its seed. With that seed in the environment the test does the same things
//! at the same moments again.

use std::io::Write;
use std::time::Duration;

/// The environment variable for the seed of a run that is to be repeated.
pub const SEED: &str = "PUSHFLOW_TEST_SEED";

/// Prints a line to standard error, also when the test passes.
pub fn say(line: &str) {
    // The test harness captures the output of `eprintln!`, and shows it only for tests that fail.
    writeln!(std::io::stderr(), "{line}").ok();
}

/// A source of random numbers (splitmix64), good enough to choose moments and processes.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A source with the seed from the environment, or else from the clock. Prints the seed with the name of the test.
    ///
    /// # Panics
    /// When the variable holds no number.
    pub fn of_test(test: &str) -> Random {
        Random::with_usual_seed(
            test,
            u64::from(std::time::UNIX_EPOCH.elapsed().expect("the clock is past 1970").subsec_nanos()),
        )
    }

    /// A source with the seed from the environment, or else with this seed, for a test that does the same each time.
    pub fn with_usual_seed(test: &str, usual: u64) -> Random {
        let seed = match std::env::var(SEED) {
            Ok(seed) => seed.parse().unwrap_or_else(|error| panic!("{SEED}={seed:?}: {error}")),
            Err(_) => usual,
        };
        say(&format!("{test}: {SEED}={seed}"));
        Random(seed)
    }

    /// A source of its own for each of several parts of a test, which may run at the same time.
    pub fn branch(&self, number: u64) -> Random {
        let mut branch = Random(self.0 ^ number.wrapping_mul(0xd134_2543_de82_ef95));
        branch.next();
        branch
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below the limit, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).expect("a usize fits");
        usize::try_from(self.next() % limit).expect("it is below a usize")
    }

    /// True with this probability, in percent.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// A time below the limit, to the microsecond.
    pub fn time_below(&mut self, limit: Duration) -> Duration {
        let micros = usize::try_from(limit.as_micros()).expect("no test waits that long");
        Duration::from_micros(u64::try_from(self.below(micros)).expect("a usize fits"))
    }

    /// One element of the list; `None` if the list is empty.
    pub fn choose<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() { None } else { from.get(self.below(from.len())) }
    }
}
