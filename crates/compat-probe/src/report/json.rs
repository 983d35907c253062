//! Reports as one JSON object, for programs. A test pins the form of the objects.

use serde_json::{Value, json};

use crate::baseline::{Comparison, Support};
use crate::daemonic_flag::DaemonicFlag;
use crate::matrix::{Cell, Summary};
use crate::names::Named;

/// The version of the form of these objects.
const SCHEMA_VERSION: u32 = 1;

/// The verdicts on every combination.
pub(crate) fn matrix(cells: &[Cell], summary: &Summary, repeat: usize) -> String {
    let Summary { verdicts, worse, as_good, better, unknown } = summary;
    let summary = json!({
        "verdicts": verdicts,
        "worse": worse,
        "as good": as_good,
        "better": better,
        "not run": unknown,
    });
    let cells: Vec<Value> = cells.iter().map(cell).collect();
    as_text(&json!({"schema": SCHEMA_VERSION, "repeat": repeat, "summary": summary, "cells": cells}))
}

fn cell(cell: &Cell) -> Value {
    let combination = &cell.combination;
    let compared = cell.comparison().map(|comparison| match comparison {
        Comparison::Worse => "worse",
        Comparison::AsGood => "as good",
        Comparison::Better => "better",
    });
    json!({
        "environment": combination.environment.name(),
        "pool": combination.pool.name(),
        "task": combination.task.name(),
        "start_method": combination.start_method.name(),
        "verdict": cell.worst.as_ref().map(|worst| worst.word()),
        "message": cell.worst.as_ref().and_then(|worst| worst.message()),
        "counts": cell.counts,
        "original": Support::of(combination.environment, combination.pool, combination.task).words(),
        "compared": compared,
    })
}

/// The daemonic flags of all processes.
pub(crate) fn flags(flags: &[DaemonicFlag]) -> String {
    let processes: Vec<Value> = flags
        .iter()
        .map(|flag| {
            json!({
                "process": flag.process.name(),
                "start_method": flag.start_method.name(),
                "daemonic": flag.response.as_ref().and_then(|response| response.daemonic),
                "original": flag.process.is_daemonic_in_original(),
                "message": flag.response.as_ref().and_then(|response| response.verdict.message()),
            })
        })
        .collect();
    as_text(&json!({"schema": SCHEMA_VERSION, "processes": processes}))
}

fn as_text(value: &Value) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).expect("a JSON value is always written"))
}
