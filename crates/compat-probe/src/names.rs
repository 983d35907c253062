//! [`Named`]: types of few values with names, from which the arguments select some.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use pushflow::green::Environment;
use pushflow::{PoolType, StartMethod};
use pushflow_probe_tasks::ProbeTask;

/// A type of few values, each with a name.
pub(crate) trait Named: Copy + Send + Sync + 'static {
    /// All values, in the order of the report.
    const ALL: &'static [Self];

    fn name(self) -> &'static str;
}

/// Parses the name of a value. The error about a wrong name lists all names, and suggests the nearest one.
pub(crate) fn name_parser<T: Named>() -> impl TypedValueParser<Value = T> {
    let names = PossibleValuesParser::new(T::ALL.iter().map(|thing| thing.name()));
    names.map(|name| *T::ALL.iter().find(|thing| thing.name() == name).expect("no other name is possible"))
}

/// The requested values in the order of the report; all values if none was requested.
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
    /// Without `StartMethod::Default`, which is one of these.
    const ALL: &'static [StartMethod] = &[StartMethod::Spawn, StartMethod::Forkserver, StartMethod::Fork];

    fn name(self) -> &'static str {
        self.name()
    }
}
