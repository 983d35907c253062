//! Command tasks.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pushflow_model::CommandTask;

use super::*;

fn command(argv: &[&str]) -> CommandTask {
    CommandTask {
        argv: argv.iter().map(|argument| (*argument).to_owned()).collect(),
        stdin: None,
        environment: Vec::new(),
        directory: None,
        any_exit_code: false,
    }
}

fn run(task: CommandTask, inputs: &Data) -> Result<Data, TaskError> {
    let result = runner().run(&TaskSpec::Command(task), inputs, &Interrupter::new());
    assert_eq!(children(), "", "no child is left");
    result
}

fn shell(script: &str) -> CommandTask {
    command(&["sh", "-c", script])
}

#[test]
fn inputs_go_to_their_places_and_output_comes_back_as_text() {
    let inputs = Data::new().with("name", "two words").with("count", 3);
    let result = run(command(&["printf", "%s|%s", "{name}", "{count}"]), &inputs).unwrap();
    assert_eq!(value(&result, "stdout"), Value::from("two words|3"));
    assert_eq!(value(&result, "stderr"), Value::from(""));
    assert_eq!(value(&result, "exit_code"), Value::Int(0));
    assert_eq!(result.len(), 3);
}

#[test]
fn output_that_is_no_text_comes_back_as_bytes() {
    let result = run(shell(r"printf '\377\000'; printf 'é' >&2"), &Data::new()).unwrap();
    assert_eq!(value(&result, "stdout"), Value::Bytes(vec![0xff, 0].into()));
    assert_eq!(value(&result, "stderr"), Value::from("é"));
}

#[test]
fn ten_megabytes_go_through_standard_input_and_back() {
    let text = "0123456789".repeat(1 << 20);
    let task = CommandTask { stdin: Some("{text}".into()), ..command(&["cat"]) };
    let result = run(task, &Data::new().with("text", text.as_str())).unwrap();
    assert!(value(&result, "stdout") == Value::from(text));
}

#[test]
fn a_program_that_reads_nothing_of_a_large_standard_input_does_not_fail() {
    let task = CommandTask { stdin: Some("x".repeat(10 << 20)), ..command(&["true"]) };
    assert_eq!(value(&run(task, &Data::new()).unwrap(), "exit_code"), Value::Int(0));
}

#[test]
fn a_program_without_standard_input_reads_its_end_at_once() {
    assert_eq!(value(&run(command(&["cat"]), &Data::new()).unwrap(), "stdout"), Value::from(""));
}

#[test]
fn a_hundred_megabytes_on_both_streams_at_once_are_captured() {
    let script = "head -c 100000000 /dev/zero & head -c 20000000 /dev/zero >&2; wait";
    let result = run(shell(script), &Data::new()).unwrap();
    let length = |name: &str| match value(&result, name) {
        Value::Str(text) => text.len(),
        other => panic!("{}", other.type_name()),
    };
    assert_eq!((length("stdout"), length("stderr")), (100_000_000, 20_000_000));
}

#[test]
fn a_grandchild_that_keeps_the_output_open_is_not_waited_for() {
    let start = Instant::now();
    let result = run(shell("sleep 60 & echo $!"), &Data::new()).unwrap();
    assert!(start.elapsed() < Duration::from_secs(10));
    let Value::Str(pid) = value(&result, "stdout") else { panic!("no text") };
    kill(Pid::from_raw(pid.trim().parse().unwrap()), Signal::SIGKILL).expect("the grandchild still runs");
}

#[test]
fn a_grandchild_that_never_stops_writing_is_not_waited_for() {
    let result = run(shell("(while :; do echo more; done) & echo $! >&2"), &Data::new()).unwrap();
    let Value::Str(pid) = value(&result, "stderr") else { panic!("no text") };
    kill(Pid::from_raw(pid.trim().parse().unwrap()), Signal::SIGKILL).expect("the grandchild still runs");
}

#[test]
fn another_exit_code_than_zero_fails_with_the_last_lines_of_standard_error() {
    let error = run(shell("seq 1 30 >&2; exit 7"), &Data::new()).unwrap_err();
    assert_error(&error, ErrorKind::Raised, "CommandFailed", "sh exited with code 7");
    assert_eq!(error.stderr, (11..=30).map(|line| line.to_string()).collect::<Vec<_>>());
    assert!(error.pid.is_some());
}

#[test]
fn a_program_that_is_killed_fails_with_the_signal() {
    let error = run(CommandTask { any_exit_code: true, ..shell("kill -9 $$") }, &Data::new()).unwrap_err();
    assert_error(&error, ErrorKind::Raised, "CommandFailed", "sh was killed by signal 9 (SIGKILL)");
}

#[test]
fn any_exit_code_is_a_result_if_so_wanted() {
    let result = run(CommandTask { any_exit_code: true, ..shell("echo out; exit 7") }, &Data::new()).unwrap();
    assert_eq!(value(&result, "exit_code"), Value::Int(7));
    assert_eq!(value(&result, "stdout"), Value::from("out\n"));
}

#[test]
fn variables_and_the_folder_reach_the_program() {
    let folder = Folder::new();
    let task = CommandTask {
        environment: vec![("GREETING".into(), "hello".into())],
        directory: Some(folder.path().to_owned()),
        ..shell("echo $GREETING; pwd -P")
    };
    let real = folder.path().canonicalize().unwrap();
    let expected = format!("hello\n{}\n", real.display());
    assert_eq!(value(&run(task, &Data::new()).unwrap(), "stdout"), Value::from(expected));
}

#[test]
fn a_program_is_looked_up_in_the_path_that_it_will_see() {
    let folder = Folder::with("greet", "#!/bin/sh\necho $0 $1\n");
    fs::set_permissions(folder.path().join("greet"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("/nowhere:{}", folder.path().display());
    let task = CommandTask { environment: vec![("PATH".into(), path)], ..command(&["greet", "you"]) };
    let expected = format!("{} you\n", folder.path().join("greet").display());
    assert_eq!(value(&run(task, &Data::new()).unwrap(), "stdout"), Value::from(expected));
}

#[test]
fn a_program_that_can_not_be_started_is_named_with_the_reason() {
    let folder = Folder::with("plain", "no program");
    folder.write("script", "#!/no/such/program\n");
    fs::set_permissions(folder.path().join("script"), fs::Permissions::from_mode(0o755)).unwrap();
    let [plain, script, gone] = ["plain", "script", "gone"].map(|name| folder.path().join(name).display().to_string());
    let refused = |task: CommandTask, message: &str| {
        assert_error(&run(task, &Data::new()).unwrap_err(), ErrorKind::NotFound, "NotFound", message);
    };
    refused(command(&["no-such-program"]), r#"the program "no-such-program" was not found in PATH"#);
    refused(command(&[&gone]), &format!("the program {gone:?} does not exist"));
    refused(
        command(&[&plain]),
        &format!("the program {plain:?} could not be started: permission denied; is it executable?"),
    );
    refused(
        command(&[&script]),
        &format!("the program {script:?} could not be started: its first line names a program that does not exist"),
    );
    refused(
        CommandTask { directory: Some(gone.clone().into()), ..command(&["true"]) },
        &format!(r#"the program "true" could not be started: the folder {gone} to run in does not exist"#),
    );
}

#[test]
fn bad_inputs_are_refused_before_anything_is_started() {
    let refused = |task: CommandTask, message: &str| {
        let inputs = Data::new().with("text", "a\0b").with("number", 1);
        assert_error(&run(task, &inputs).unwrap_err(), ErrorKind::BadInput, "BadInput", message);
    };
    refused(command(&[]), "the command is empty: it needs at least a program");
    refused(
        command(&["echo", "{numer}"]),
        r#"there is no input "numer" for {numer} in "{numer}"; did you mean "number"?"#,
    );
    refused(command(&["echo", "{text}"]), "argument 1 of the program has a NUL byte, which no argument can have");
    refused(
        CommandTask { environment: vec![("A=B".into(), "c".into())], ..command(&["true"]) },
        r#"the environment variable "A=B" can't be set: its name or value has a forbidden byte"#,
    );
}

#[test]
fn arguments_beyond_what_the_system_takes_are_an_error_of_the_attempt() {
    let error = run(command(&["true", "{text}"]), &Data::new().with("text", "x".repeat(1 << 20))).unwrap_err();
    let message = r#"the program "true" could not be started: Argument list too long (os error 7)"#;
    assert_error(&error, ErrorKind::NotFound, "NotFound", message);
}
