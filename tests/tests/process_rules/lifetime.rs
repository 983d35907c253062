//! Which processes end with which event: every event of the original's table "process lifetime" and more, on each pool,
//! with each start method.
//!
//! Each cell runs a program of its own ([`scene`]). To show that a task *may* finish, the test lets it finish after all
//! processes have ended that the event must end. To show that a task *is ended*, the test waits for its end without letting
//! it finish. No cell depends on how long a step takes, except on the promise that no process is left after a second.

mod parent;
mod scene;
mod signals;
mod stdout;
mod workers;

use std::fmt;

use nix::sys::signal::Signal;
use pushflow_tests::page;
use pushflow_tests::parallel::run_all;
use serde_json::json;

use self::scene::Place;
use self::signals::To;

const POOLS: [&str; 6] = ["thread", "process", "ndprocess", "multiprocessing", "ndmultiprocessing", "billiard"];
const METHODS: [&str; 3] = ["spawn", "forkserver", "fork"];

/// A row of the table: the event, what the original does, and the experiment that shows what pushflow does.
struct Row {
    event: &'static str,
    original: &'static str,
    look: fn(Place) -> String,
    /// The start methods; more than one for every row that has worker processes of the program itself.
    methods: &'static [&'static str],
}

const fn row(event: &'static str, original: &'static str, look: fn(Place) -> String) -> Row {
    Row { event, original, look, methods: &METHODS }
}

/// Of the command line, which has no start method `fork` of its own worth a look: its tasks are scripts.
const fn command_line(event: &'static str, original: &'static str, look: fn(Place) -> String) -> Row {
    Row { event, original, look, methods: &["spawn", "forkserver"] }
}

/// The program ends in a way that it can't handle.
static GONE: &[Row] = &[
    row(
        "`kill -9` of the program",
        "process, ndprocess: T and w stay for ever; the others: T until its end; c is left",
        |place| parent::killed_by(place, Signal::SIGKILL, json!({})),
    ),
    row("the same, `orphan_grace` 0", "there is none", parent::killed_without_grace),
    row("the same, a child that T started itself", "left", parent::killed_with_children),
    row("the same, T in a pool of a task", "not measured", parent::killed_with_nested_pool),
    row("SIGTERM without a handler", "as `kill -9`", |place| parent::killed_by(place, Signal::SIGTERM, json!({}))),
    row("SIGHUP", "not measured", |place| parent::killed_by(place, Signal::SIGHUP, json!({}))),
    row("SIGINT without `stop_signals`", "waits for T; so at the second; at the third leaves T and w", |place| {
        parent::killed_by(place, Signal::SIGINT, json!({}))
    }),
    row("the same, to the foreground group", "T is interrupted (thread: waits for T)", |place| {
        parent::group_killed_by(place, Signal::SIGINT)
    }),
    row("`abort`", "not measured", |place| parent::gone_by(place, "abort")),
    row("`_exit`", "not measured", |place| parent::gone_by(place, "_exit")),
    row("SIGTERM while its exit waits for T", "not measured", parent::killed_while_it_exits),
    command_line("`kill -9` of `pushflow run`, T is a command", "there is none", signals::command_line_killed),
    row("its stdout has no reader, a task prints", "not measured", stdout::task_prints),
    command_line("the same, `pushflow run` prints", "not measured", stdout::command_line_prints),
];

/// The program exits while the pool is open, or drops it.
static EXITS: &[Row] = &[
    row("return from `main`", "waits for T; multiprocessing, billiard: T is killed", |place| {
        parent::exits_by(place, "return")
    }),
    row("`std::process::exit`", "the same (`sys.exit`)", |place| parent::exits_by(place, "exit")),
    row("the same, in a callback", "not measured", |place| parent::exits_by(place, "exit in a callback")),
    row("SIGTERM with a handler that exits", "waits for T", parent::exits_on_sigterm),
    row("panic in `main`", "not measured", |place| parent::exits_by(place, "panic")),
    row("the same, its stdout has no reader", "not measured", stdout::program_prints),
    row("return, T ignores SIGTERM", "not measured", parent::exits_with_stubborn_task),
    row("return, T in a pool of a task", "not measured", parent::exits_with_nested_pool),
    row(
        "return, `wait_on_exit: false`",
        "waits for T; multiprocessing, billiard: T is killed",
        parent::exits_impatiently,
    ),
    row("return, `wait_on_exit_timeout`", "no effect", parent::exits_in_time),
    row("return, `interrupt_on_exit`", "T is interrupted", parent::exits_and_interrupts),
    row("`close` and `join` before the return", "waits for T", |place| parent::drops(place, "close")),
    row("return, which drops the pool", "waits for T (`with`)", |place| parent::drops(place, "return")),
    row("panic, which drops the pool", "not measured", parent::panics_with_pool_in_scope),
    row("`exit` with a pool in scope", "not measured", |place| parent::exits_in_scope(place, "exit")),
    row("drop, `wait_on_exit: false`", "no effect", parent::drops_impatiently),
    row("drop, `wait_on_exit_timeout`", "no effect", parent::drops_in_time),
    row("drop, `interrupt_on_exit`", "T is interrupted", parent::drops_and_interrupts),
    row("`abort` with a pool in scope", "not measured", |place| parent::gone_in_scope(place, "abort")),
];

/// SIGINT to a run with SIGINT among its `stop_signals`.
static STOPS: &[Row] = &[
    row("SIGINT to the program alone", "waits for T, not stopped", |place| signals::stops(place, To::Alone)),
    row("SIGINT to the foreground group", "T is interrupted (thread: waits for T)", |place| {
        signals::stops(place, To::Group)
    }),
    row("a second SIGINT, alone", "process, ndprocess: waits; the others: exits", |place| {
        signals::second_kills(place, To::Alone)
    }),
    row("a second SIGINT, to the group", "not measured", |place| signals::second_kills(place, To::Group)),
    command_line("`pushflow run`: SIGINT to it alone", "there is none", |place| {
        signals::command_line_stops(place, To::Alone)
    }),
    command_line("`pushflow run`: SIGINT to the group", "there is none", |place| {
        signals::command_line_stops(place, To::Group)
    }),
    command_line("`pushflow run`: a second SIGINT, alone", "there is none", |place| {
        signals::command_line_kills(place, To::Alone)
    }),
    command_line("`pushflow run`: a second SIGINT, to the group", "there is none", |place| {
        signals::command_line_kills(place, To::Group)
    }),
];

/// A worker is ended or gets a signal.
static WORKERS: &[Row] = &[
    row(
        "`kill -9` of the worker of T",
        "process, ndprocess: pool dead; multiprocessing, ndmultiprocessing: waits for ever; billiard: error after 11.5 s; c is left",
        |place| workers::busy_worker_ended_by(place, Signal::SIGKILL),
    ),
    row("SIGTERM to the worker of T", "not measured", |place| workers::busy_worker_ended_by(place, Signal::SIGTERM)),
    row(
        "`kill -9` of w, then 4 tasks",
        "process, ndprocess: pool dead; the others: deadlock, 3 of 6 and 1 of 3",
        |place| workers::idle_worker_ended_by(place, Signal::SIGKILL),
    ),
    row(
        "`kill -9` of all workers, idle, then 4 tasks",
        "process, ndprocess: pool dead; the others: deadlock",
        |place| workers::all_idle_workers_ended_by(place, Signal::SIGKILL),
    ),
    row("SIGTERM to w, then 4 tasks", "not measured", |place| workers::idle_worker_ended_by(place, Signal::SIGTERM)),
    row("SIGTERM to all workers, idle, then 4 tasks", "not measured", |place| {
        workers::all_idle_workers_ended_by(place, Signal::SIGTERM)
    }),
    row("SIGINT to w", "ignored", workers::idle_worker_interrupted),
    row("SIGINT to the worker of T", "T is interrupted, pool usable", workers::busy_worker_interrupted),
    row("`kill -9` of a worker, T in a pool of its task", "not measured", workers::worker_with_nested_pool_killed),
];

/// One row in one place.
struct Cell {
    row: &'static Row,
    place: Place,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.row.event, self.place)
    }
}

/// The cells of a row. Threads have no start method.
fn cells(row: &'static Row) -> impl Iterator<Item = Cell> {
    let places = POOLS.into_iter().flat_map(|pool| {
        let methods = if pool == "thread" { &row.methods[..1] } else { row.methods };
        methods.iter().map(move |method| Place { pool, method })
    });
    places.map(move |place| Cell { row, place })
}

/// The result on one pool, written once if all start methods have the same.
fn in_words(found: &[(&Cell, &String)]) -> String {
    let first = found.first().map_or("", |(_, words)| words);
    if found.iter().all(|(_, words)| *words == first) {
        return first.to_owned();
    }
    found.iter().map(|(cell, words)| format!("{}: {words}", cell.place.method)).collect::<Vec<_>>().join("; ")
}

/// Runs the experiment of every cell, and returns the table.
fn table(first: &str, rows: &'static [Row]) -> String {
    let cells: Vec<Cell> = rows.iter().flat_map(cells).collect();
    let found = run_all(&cells, |cell| (cell.row.look)(cell.place));
    let line = |row: &'static Row| {
        let mut line = vec![row.event.to_owned()];
        line.extend(POOLS.map(|pool| {
            let of_pool = |(cell, _): &(&Cell, &String)| std::ptr::eq(cell.row, row) && cell.place.pool == pool;
            in_words(&cells.iter().zip(&found).filter(of_pool).collect::<Vec<_>>())
        }));
        line.push(row.original.to_owned());
        line
    };
    let mut head = vec![first];
    head.extend(POOLS);
    head.push("the original");
    page::table(&head, &rows.iter().map(line).collect::<Vec<_>>())
}

#[test]
fn what_is_gone_without_an_exit_takes_with_it_what_the_page_says() {
    page::assert_section("process-rules.md", "lifetime: gone", &table("the program is gone by", GONE));
}

#[test]
fn an_exit_waits_for_what_the_page_says() {
    page::assert_section("process-rules.md", "lifetime: exit", &table("the program exits or drops the pool", EXITS));
}

#[test]
fn sigint_stops_what_the_page_says() {
    page::assert_section("process-rules.md", "lifetime: stop", &table("the run gets", STOPS));
}

#[test]
fn what_happens_to_a_worker_means_for_the_pool_what_the_page_says() {
    page::assert_section("process-rules.md", "lifetime: workers", &table("a worker gets", WORKERS));
}
