//! `pushflow doctor`: the Python, the workers and the limits that a run would have here, as text or as one JSON object.

use std::fmt::Write;

use pushflow::PythonSettings;
use pushflow::doctor::{Examination, Package, PackageState, Python, Settings, examine as look};
use serde_json::{Value, json};

use crate::arguments::{DoctorArguments, OutputFormat};
use crate::run::folders_are_there;
use crate::stderr::write_line;
use crate::{exit, stdout};

/// Examines this machine, prints the findings, and returns the exit code.
pub(crate) fn examine(arguments: &DoctorArguments) -> u8 {
    if let Err(error) = folders_are_there("--python-path", &arguments.python_path) {
        write_line(&format!("error: {error}"));
        return exit::USAGE;
    }
    let mut python = PythonSettings::new().path(&arguments.python_path);
    python.interpreter = arguments.python.clone();
    let mut settings = Settings::new(arguments.timeout).python(python);
    settings.worker = arguments.worker.clone();
    let found = look(&settings);
    let text = match arguments.format {
        OutputFormat::Text => as_text(&found),
        OutputFormat::Json => format!("{}\n", as_json(&found)),
    };
    let code = if found.problems().is_empty() { exit::FINISHED } else { exit::FAILED };
    match stdout::print(&text) {
        Ok(()) => code,
        Err(error) => {
            write_line(&format!("error: what was found could not be printed: {error}"));
            exit::FAILED
        }
    }
}

fn as_text(found: &Examination) -> String {
    let mut text = format!("pushflow {} (build {})\n", env!("CARGO_PKG_VERSION"), found.build);
    let mut say = |line: String| writeln!(text, "{line}").expect("a text takes all that is written");
    say("Python".to_owned());
    if let Some((chosen_by, interpreter)) = &found.interpreter {
        say(format!("  interpreter: {} (chosen by {})", interpreter.display(), chosen_by.name()));
    }
    match &found.python {
        Ok(python) => python_lines(python).for_each(&mut say),
        Err(_) => say("  it can't be used: see below".to_owned()),
    }
    say("Workers".to_owned());
    if let Ok(program) = &found.worker {
        say(format!("  program: {}", program.display()));
    }
    for (method, works) in &found.start_methods {
        say(format!("  start method {method}: {}", if works.is_ok() { "works" } else { "does not work" }));
    }
    say("Machine".to_owned());
    if let (Ok((soft, hard)), Ok(fit)) = (&found.machine.open_files, &found.machine.workers_that_fit) {
        say(format!("  open files: {soft}, at most {hard} if asked for (ulimit -n): enough for {fit} workers"));
    }
    say(format!("  shared memory: {}", works(&found.machine.shared_memory)));
    say(format!("  files of processes: {}", works(&found.machine.pidfds)));
    found.warnings().into_iter().for_each(|warning| say(format!("warning: {warning}")));
    let problems = found.problems();
    if problems.is_empty() {
        say("All that runs need is here.".to_owned());
    }
    problems.into_iter().for_each(|problem| say(format!("problem: {problem}")));
    text
}

fn works(result: &std::io::Result<()>) -> &'static str {
    if result.is_ok() { "works" } else { "does not work" }
}

fn python_lines(python: &Python) -> impl Iterator<Item = String> {
    let place = match python.prefix == python.base_prefix {
        true => format!("  installed in: {}", python.prefix),
        false => format!("  virtual environment: {} (of {})", python.prefix, python.base_prefix),
    };
    let first = [format!("  version: {}", python.version), format!("  executable: {}", python.executable), place];
    let folders = python.search_path.iter().map(|folder| format!("    {folder}"));
    let packages = python.packages.iter().map(|Package { name, purpose, state, .. }| match state {
        PackageState::There(version) => format!("  {name}: {}", version.as_deref().unwrap_or("of unknown version")),
        PackageState::Missing => format!("  {name}: not there (it is for {purpose})"),
        PackageState::Broken(_) => format!("  {name}: can't be imported"),
    });
    let lines = first.into_iter().chain(["  modules are looked for in:".to_owned()]).chain(folders).chain(packages);
    lines.collect::<Vec<_>>().into_iter()
}

fn as_json(found: &Examination) -> Value {
    let outcome = |result: Result<(), String>| match result {
        Ok(()) => json!({"works": true}),
        Err(error) => json!({"works": false, "error": error}),
    };
    let machine = &found.machine;
    let said = |result: &std::io::Result<()>| outcome(result.as_ref().map(drop).map_err(ToString::to_string));
    let methods = found.start_methods.iter().map(|(method, works)| (method.name().to_owned(), outcome(works.clone())));
    json!({
        "schema": 1,
        "pushflow": {"version": env!("CARGO_PKG_VERSION"), "build": found.build},
        "python": python_as_json(found),
        "worker": {"program": found.worker.as_ref().ok().map(|program| program.display().to_string())},
        "start_methods": methods.collect::<serde_json::Map<_, _>>(),
        "machine": {
            "open_files": machine.open_files.as_ref().ok().map(|(soft, hard)| json!({"limit": soft, "maximum": hard})),
            "workers_that_fit": machine.workers_that_fit.as_ref().ok(),
            "shared_memory": said(&machine.shared_memory),
            "pidfds": said(&machine.pidfds),
            "panics": if machine.panics_abort { "abort" } else { "unwind" },
        },
        "warnings": found.warnings(),
        "problems": found.problems(),
    })
}

fn python_as_json(found: &Examination) -> Value {
    let chosen_by = found.interpreter.as_ref().map(|(chosen_by, _)| chosen_by.name());
    let interpreter = found.interpreter.as_ref().map(|(_, interpreter)| interpreter.display().to_string());
    let Ok(python) = &found.python else {
        return json!({"usable": false, "chosen_by": chosen_by, "interpreter": interpreter});
    };
    let packages = python.packages.iter().map(|package| {
        let said = match &package.state {
            PackageState::There(version) => json!({"there": true, "version": version}),
            PackageState::Missing => json!({"there": false}),
            PackageState::Broken(error) => json!({"there": false, "error": error}),
        };
        (package.name.to_owned(), said)
    });
    json!({
        "usable": true,
        "chosen_by": chosen_by,
        "interpreter": interpreter,
        "executable": python.executable,
        "version": python.version,
        "prefix": python.prefix,
        "base_prefix": python.base_prefix,
        "path": python.search_path,
        "packages": packages.collect::<serde_json::Map<_, _>>(),
    })
}
