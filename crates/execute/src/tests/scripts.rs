//! Script tasks. The expected results were observed with ewoks itself.

use std::os::unix::fs::PermissionsExt;

use pushflow_model::{Map, ScriptTask};

use super::*;

fn run(task: ScriptTask, inputs: Data) -> Result<Data, TaskError> {
    runner().run(&TaskSpec::Script(task), &inputs, &Interrupter::new())
}

fn command(argv: &[&str]) -> ScriptTask {
    ScriptTask::Command(argv.iter().map(|argument| (*argument).to_owned()).collect())
}

fn captured() -> Data {
    Data::new().with("_capture_output", true)
}

#[test]
fn inputs_become_options_in_their_order_and_positions_come_last() {
    let nested: Map = [("k", Value::Bytes(vec![0, b'a'].into()))].into_iter().collect();
    let inputs = captured()
        .with("zz", 1.0)
        .with("a", true)
        .with("b", ())
        .with("c", vec![Value::from(1), Value::from("x's"), Value::Null, Value::from(nested)])
        .with(1_u32, "p1")
        .with(0_u32, "p0")
        .with("2", "two")
        .with("e", "")
        .with("é", "u")
        .with("_script", "ignored");
    let result = run(command(&["echo"]), inputs).unwrap();
    let expected = "--zz 1.0 -a True -b None -c [1, \"x's\", None, {'k': b'\\x00a'}] -e -é u p0 p1 two\n";
    assert_eq!(value(&result, "out"), Value::from(expected));
    assert_eq!(value(&result, "err"), Value::from(""));
    assert_eq!(value(&result, "return_code"), Value::Int(0));
    assert_eq!(result.len(), 3);
}

#[test]
fn what_is_not_captured_is_null() {
    let result = run(command(&["true"]), Data::new()).unwrap();
    assert_eq!((value(&result, "out"), value(&result, "err")), (Value::Null, Value::Null));
}

#[test]
fn merged_errors_are_part_of_the_output() {
    let task = command(&["sh", "-c", "echo one; echo two >&2; echo three"]);
    let result = run(task, captured().with("_merge_err", true)).unwrap();
    assert_eq!(value(&result, "out"), Value::from("one\ntwo\nthree\n"));
    assert_eq!(value(&result, "err"), Value::Null);
}

#[test]
fn a_failure_is_a_result_unless_it_is_to_be_raised() {
    let task = || command(&["sh", "-c", "echo why >&2; exit 3"]);
    let result = run(task(), captured()).unwrap();
    assert_eq!(value(&result, "return_code"), Value::Int(3));
    let error = run(task(), captured().with("_raise_on_error", 1)).unwrap_err();
    assert_error(&error, ErrorKind::Raised, "CommandFailed", "sh exited with code 3");
    assert_eq!(error.stderr, ["why"]);
}

#[test]
fn a_signal_is_a_negative_return_code() {
    let result = run(command(&["sh", "-c", "kill -9 $$"]), Data::new()).unwrap();
    assert_eq!(value(&result, "return_code"), Value::Int(-9));
}

#[test]
fn a_file_is_run_by_its_own_first_line_by_python_or_by_bash() {
    let folder = Folder::with("plain.py", "import sys; print('python', *sys.argv[1:])");
    folder.write("plain.sh", "echo bash ${BASH_VERSION:+yes} $@");
    folder.write("own.py", "#!/bin/sh\necho own $@");
    fs::set_permissions(folder.path().join("own.py"), fs::Permissions::from_mode(0o755)).unwrap();
    let out = |name: &str| {
        let file = ScriptTask::File(folder.path().join(name));
        value(&run(file, captured().with(0_u32, 1.5)).unwrap(), "out")
    };
    assert_eq!(out("plain.py"), Value::from("python 1.5\n"));
    assert_eq!(out("plain.sh"), Value::from("bash yes 1.5\n"));
    assert_eq!(out("own.py"), Value::from("own 1.5\n"));
}

#[test]
fn a_file_that_does_not_exist_is_named() {
    let error = run(ScriptTask::File("/no/script.sh".into()), Data::new()).unwrap_err();
    let message = "the script /no/script.sh can't be read: No such file or directory (os error 2)";
    assert_error(&error, ErrorKind::NotFound, "NotFound", message);
}

#[test]
fn texts_are_those_that_python_prints() {
    use pushflow_python::python_text;
    let floats = [
        0.0,
        -0.0,
        1.0,
        0.1,
        1e15,
        1e16,
        1.5e16,
        123_456_789_012_345_680.0,
        1e-4,
        1.25e-5,
        5e-324,
        f64::MAX,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -2.5e22,
        100.0,
    ];
    let texts =
        ["it's", "\"", "'\"", "\n\t\\\0\x7f", "é", "e\u{301}", "\u{a0}\u{200b}\u{e000}\u{1f600}\u{10ffff}", "\u{301}"];
    let mut expressions = String::from("import json, sys\nfor value in [");
    for number in floats {
        expressions.push_str(&format!("float('{number:e}'), "));
    }
    for text in texts {
        let literal: String = text.chars().map(|character| format!("\\U{:08x}", u32::from(character))).collect();
        expressions.push_str(&format!("['{literal}'], "));
    }
    expressions.push_str("]: print(json.dumps(str(value)))");
    let python = std::process::Command::new("python3").args(["-c", &expressions]).output().unwrap();
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    let printed = String::from_utf8(python.stdout).unwrap();
    let mut printed = printed.lines().map(|line| pushflow_model::parse_json(line).unwrap());
    for number in floats {
        assert_eq!(Value::from(python_text(&Value::Float(number))), printed.next().unwrap(), "{number:e}");
    }
    for text in texts {
        let ours = python_text(&Value::from(vec![Value::from(text)]));
        assert_eq!(Value::from(ours), printed.next().unwrap(), "{text:?}");
    }
}
