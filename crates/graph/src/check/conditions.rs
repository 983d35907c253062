//! Conditions on an output that the task of the link's source never has.
//!
//! The outputs are known for programs, scripts and Python functions that return any value, if the task hands on its
//! result alone ([`Passing::Result`]). In all other cases nothing is known before a run. Rust tasks and Python
//! functions that return a mapping choose their outputs at run time. The outputs of an ewoks class are known to its
//! interpreter only. With the other rules of [`Passing`] the inputs go on beside the result.

use pushflow_model::{PythonTask, Returns, TaskSpec, did_you_mean};

use super::warning::{Warning, WarningKind};
use crate::{ActorKind, Graph, Passing, Task, Work};

pub(super) fn warn_of_conditions(graph: &Graph, warnings: &mut Vec<Warning>) {
    for (_, source, target, link) in graph.links().filter(|(.., link)| !link.on_error) {
        let actor = graph.actor(source);
        let ActorKind::Task(task) = &actor.kind else { continue };
        let Some(outputs) = known_outputs(task) else { continue };
        for condition in link.conditions.iter().filter(|condition| !outputs.contains(&condition.output.as_str())) {
            let message = format!(
                "the link from {:?} to {:?} is never taken: its condition is on the output {:?}, and the task of {:?} has \
                 only {}: name one of these in the condition{}",
                actor.name,
                graph.actor(target).name,
                condition.output,
                actor.name,
                outputs.join(", "),
                did_you_mean(&condition.output, outputs.iter().copied()),
            );
            warnings.push(Warning { kind: WarningKind::ConditionNeverHolds, actor: Some(source), message });
        }
    }
}

/// The names of all outputs that the task can have; `None` where they are not known before a run.
fn known_outputs(task: &Task) -> Option<&'static [&'static str]> {
    let Task { work: Work::Attempt(spec), passing: Passing::Result, .. } = task else { return None };
    match spec {
        TaskSpec::Command(_) => Some(&["stdout", "stderr", "exit_code"]),
        TaskSpec::Script(_) => Some(&["return_code", "out", "err"]),
        TaskSpec::Python(PythonTask { returns: Returns::Value, .. }) => Some(&["return_value"]),
        TaskSpec::Python(_) | TaskSpec::Rust { .. } | TaskSpec::Ewoks(_) => None,
    }
}
