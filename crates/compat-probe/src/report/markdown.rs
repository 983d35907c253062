//! Reports as Markdown: the page `docs/compatibility.md`, and the table of daemonic flags.

use pushflow::green::Environment;
use pushflow::{PoolType, StartMethod};
use pushflow_probe_tasks::ProbeTask;

use super::{flag_word, group, original_flag, present, reasons, sentence, words};
use crate::baseline::Support;
use crate::daemonic_flag::DaemonicFlag;
use crate::matrix::{Cell, Summary};
use crate::names::Named;
use crate::process_under_test::ProcessUnderTest;

const OPENING: &str = "\
# Which task runs on which pool

Written by `scripts/compat_matrix.sh`, which runs every combination in a fresh process and fails where this page says
something else than what was found: `pushflow probe` shows the same for your machine. In each cell: what was found with
the start methods `spawn`, `forkserver` and `fork` (one word where they agree) / what the original's documents say of
themselves.

The tasks are those of the original's table: `simple` is a function, `subprocess` a command; the others open a pool or
start a single process inside the task and return what that returns: `cfpool` a pool `process`, `mppool` a pool
`multiprocessing`, `bpool` a pool `billiard`, `mpprocess` and `bprocess` a `Process` of the family multiprocessing or
billiard.

*ok*: it ran, and its result was right. *refused*: a rule forbids it. *unsupported*: the pool does not exist here.
";

fn title(environment: Environment) -> &'static str {
    match environment {
        Environment::Plain => "The plain environment",
        Environment::Green => "The green environment",
    }
}

/// The whole page. Nothing on it depends on the machine, so the page changes only when verdicts change.
pub(crate) fn page(cells: &[Cell], summary: &Summary) -> String {
    let mut text = OPENING.to_owned();
    for environment in present(|cell| cell.combination.environment, cells) {
        text += &format!("\n## {}\n\n{}", title(environment), matrix(cells, environment));
    }
    let reasons = reasons(cells, None);
    if !reasons.is_empty() {
        text += "\n## Why not\n\n";
    }
    let tasks: Vec<ProbeTask> = present(|cell| cell.combination.task, cells);
    for reason in reasons {
        text += &format!("- {}, *{}*: {}\n", reason.verdict.word(), reason.message, reason.places(&tasks));
    }
    text + "\n" + &sentence(summary) + ".\n"
}

fn matrix(cells: &[Cell], environment: Environment) -> String {
    let tasks: Vec<ProbeTask> = present(|cell| cell.combination.task, cells);
    let mut text = row("pool", tasks.iter().map(|task| format!("`{task}`")));
    text += &row("---", tasks.iter().map(|_| "---".to_owned()));
    for pool in present::<PoolType>(|cell| cell.combination.pool, cells) {
        let found = tasks.iter().map(|&task| {
            let found = words(&group(cells, environment, pool, task));
            format!("{found} / {}", Support::of(environment, pool, task).words())
        });
        text += &row(&format!("`{}`", pool.name()), found);
    }
    text
}

fn row(head: &str, cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = [head.to_owned()].into_iter().chain(cells).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// The daemonic flags of all processes.
pub(crate) fn flags(flags: &[DaemonicFlag], methods: &[StartMethod]) -> String {
    let heads = || methods.iter().map(|&method| Named::name(method).to_owned());
    let mut text = row("process", heads().chain(["the original".to_owned()]));
    text += &row("---", heads().chain([String::new()]).map(|_| "---".to_owned()));
    for &process in ProcessUnderTest::ALL {
        let said = methods.iter().map(|&method| flag_word(flags, process, method).to_owned());
        text += &row(&format!("`{}`", process.name()), said.chain([original_flag(process).to_owned()]));
    }
    text
}
