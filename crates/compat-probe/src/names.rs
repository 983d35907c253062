//! What the probe goes through: environments, pools, tasks, start methods, each by its name.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use pushflow::green::Environment;
use pushflow::{PoolType, StartMethod};
use pushflow_probe_tasks::ProbeTask;

/// One of a few things that have names.
pub(crate) trait Named: Copy + Send + Sync + 'static {
    /// All of them, in the order in which they are shown.
    const ALL: &'static [Self];

    fn name(self) -> &'static str;
}

/// Reads such a name; a wrong one is answered with all, and with the nearest one.
pub(crate) fn name_parser<T: Named>() -> impl TypedValueParser<Value = T> {
    let names = PossibleValuesParser::new(T::ALL.iter().map(|thing| thing.name()));
    names.map(|name| *T::ALL.iter().find(|thing| thing.name() == name).expect("no other name is possible"))
}

/// Those that were asked for, or all.
pub(crate) fn selected<T: Named + PartialEq>(requested: &[T]) -> Vec<T> {
    T::ALL.iter().copied().filter(|thing| requested.is_empty() || requested.contains(thing)).collect()
}

impl Named for Environment {
    const ALL: &'static [Environment] = &Environment::ALL;

    fn name(self) -> &'static str {
        self.name()
    }
}

impl Named for PoolType {
    const ALL: &'static [PoolType] = &PoolType::ALL;

    fn name(self) -> &'static str {
        self.name()
    }
}

impl Named for ProbeTask {
    const ALL: &'static [ProbeTask] = &ProbeTask::ALL;

    fn name(self) -> &'static str {
        self.name()
    }
}

impl Named for StartMethod {
    /// The default is one of these.
    const ALL: &'static [StartMethod] = &[StartMethod::Spawn, StartMethod::Forkserver, StartMethod::Fork];

    fn name(self) -> &'static str {
        self.name()
    }
}
