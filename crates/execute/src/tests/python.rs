//! The inputs and results of Python tasks, and the modules in which they are found.

use pushflow_model::{List, Map};

use super::*;

#[test]
fn names_become_keyword_arguments_and_positions_positional_ones_with_gaps_of_none() {
    let mut python = Python::new("def run(*args, **names): return {'args': args, 'names': names}");
    let inputs = Data::new().with("b", 1).with(2_u32, "z").with("a", 2).with(0_u32, "x");
    let result = python.call("run", &inputs).unwrap();
    assert_eq!(value(&result, "args").plain(), &Value::from(vec!["x".into(), Value::Null, "z".into()]));
    let Value::Map(names) = value(&result, "names") else { panic!("no map") };
    assert_eq!(names.keys().collect::<Vec<_>>(), ["b", "a"], "the order is kept");
}

#[test]
fn every_plain_value_comes_back_as_it_went() {
    let mut python = Python::new("def run(x): return {'x': x}");
    let text: String = "é\u{1f600}\0".repeat(100);
    let integers = [0, 1, 255, 256, 65_535, 65_536, -1, -128, -129, i64::from(i32::MAX) + 1, i64::MAX, i64::MIN];
    let floats = [0.0, -0.0, 1.5, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 5e-324];
    let mut values: Vec<Value> = integers.into_iter().map(Value::Int).chain(floats.map(Value::Float)).collect();
    values.extend([Value::Null, true.into(), false.into(), "".into(), text.into()]);
    values.extend([
        Value::Bytes(Vec::new().into()),
        Value::Bytes((0..=255).collect()),
        Value::Bytes(vec![7; 70_000].into()),
    ]);
    let map: Map = [("z", Value::from(1)), ("a", Value::from(List::default())), ("", Value::from(Map::default()))]
        .into_iter()
        .collect();
    values.push(map.into());
    let sent = Value::from(values);
    let received = value(&python.call("run", &Data::new().with("x", sent.clone())).unwrap(), "x");
    assert_eq!(format!("{received:?}"), format!("{sent:?}"), "also in the order of entries and the sign of zero");
}

#[test]
fn not_a_number_stays_not_a_number() {
    let mut python = Python::new("def run(x): assert x != x; return {'x': x}");
    let result = python.call("run", &Data::new().with("x", f64::NAN)).unwrap();
    assert!(matches!(value(&result, "x"), Value::Float(number) if number.is_nan()));
}

#[test]
fn large_values_travel_both_ways() {
    let mut python = Python::new("def run(x, n): return {'x': x, 'n': list(range(n))}");
    let bytes = Value::Bytes((0..30_000_000_u32).map(|number| number as u8).collect());
    let result = python.call("run", &Data::new().with("x", bytes.clone()).with("n", 100_000)).unwrap();
    assert!(value(&result, "x") == bytes);
    let Value::List(numbers) = value(&result, "n") else { panic!("no list") };
    assert_eq!((numbers.len(), numbers.last()), (100_000, Some(&Value::Int(99_999))));
}

#[test]
fn derived_types_are_seen_as_the_plain_types_they_derive_from() {
    let mut python = Python::new(
        "
import collections, enum
class Color(enum.IntEnum): RED = 3
class Name(str): pass
Point = collections.namedtuple('Point', 'x y')
def run():
    ordered = collections.OrderedDict(a=1, b=2)
    ordered.move_to_end('a')
    once = 'a'
    return {
        'color': Color.RED, 'name': Name('a'), 'point': Point(1, 2), 'ordered': ordered, 'again': once,
        'counter': collections.Counter('aa'), 'keys': {Name('k'): 1},
    }
",
    );
    let result = python.call("run", &Data::new()).unwrap();
    let view = |name: &str| value(&result, name).plain().clone();
    assert_eq!(view("color"), Value::Int(3));
    assert_eq!(view("name"), Value::from("a"));
    assert_eq!(value(&result, "again"), Value::from("a"));
    assert_eq!(view("point"), Value::from(vec![Value::Int(1), Value::Int(2)]));
    let Value::Map(ordered) = view("ordered") else { panic!("no map") };
    assert_eq!(ordered.keys().collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!(view("counter"), Map::from_iter([("a", Value::Int(2))]).into());
    assert_eq!(view("keys"), Map::from_iter([("k", Value::Int(1))]).into());
}

#[test]
fn shared_parts_are_copied() {
    let mut python = Python::new("def run(): part = ['x' * 300]; return {'x': [part, part, {'p': part}]}");
    let part = || Value::from(vec![Value::from("x".repeat(300))]);
    let map = Map::from_iter([("p", part())]);
    assert_eq!(value(&python.call("run", &Data::new()).unwrap(), "x"), Value::from(vec![part(), part(), map.into()]));
}

#[test]
fn any_mapping_is_a_result_and_integers_are_positions() {
    let mut python = Python::new(
        "
import types
def run(): return types.MappingProxyType({'x': 1, 0: 'first', 7: 'eighth'})
",
    );
    let result = python.call("run", &Data::new()).unwrap();
    let keys: Vec<String> = result.iter().map(|(key, _)| format!("{key:?}")).collect();
    assert_eq!(keys, ["Name(\"x\")", "Position(0)", "Position(7)"]);
}

#[test]
fn a_task_that_returns_a_value_has_it_as_return_value() {
    let mut python = Python::new("def run(a, b): return a + b");
    let inputs = Data::new().with(0_u32, 1).with(1_u32, 2);
    let result = python.runner.run(&value_task("tasks", "run"), &inputs, &Interrupter::new()).unwrap();
    assert_eq!((value(&result, "return_value"), result.len()), (Value::Int(3), 1));
}

#[test]
fn the_search_path_comes_before_everything_else_and_the_current_folder_is_not_in_it() {
    let mut python = Python::new("import sys\ndef run(): return {'path': sys.path, 'argv': sys.argv}");
    let result = python.call("run", &Data::new()).unwrap();
    let Value::List(path) = value(&result, "path") else { panic!("no list") };
    assert_eq!(path[0], Value::from(python.folder.path().to_str().unwrap()));
    assert!(!path.contains(&Value::from("")), "{path:?}");
    let here = std::env::current_dir().unwrap();
    assert!(!path.contains(&Value::from(here.to_str().unwrap())), "{path:?}");
    assert_eq!(value(&result, "argv"), Value::from(vec![Value::from("")]));
}

#[test]
fn a_module_of_a_package_is_found() {
    let folder = Folder::with("package/inner/tasks.py", "def run(): return {'name': __name__}");
    let result = python_runner(&folder).run(&task("package.inner.tasks", "run"), &Data::new(), &Interrupter::new());
    assert_eq!(value(&result.unwrap(), "name"), Value::from("package.inner.tasks"));
}

#[test]
fn a_module_that_is_younger_than_the_interpreter_is_found() {
    let mut python = Python::new("def run(): return {}");
    python.call("run", &Data::new()).unwrap();
    python.folder.write("young.py", "def run(): return {'x': 1}");
    let result = python.runner.run(&task("young", "run"), &Data::new(), &Interrupter::new()).unwrap();
    assert_eq!(value(&result, "x"), Value::Int(1));
}

#[test]
fn a_file_is_loaded_once_and_takes_no_name_that_an_import_uses() {
    let source = "count = 0\ndef run():\n  global count\n  count += 1\n  return {'count': count, 'name': __name__}";
    let folder = Folder::with("sub/counts.py", source);
    folder.write("sub/random.py", source);
    let mut runner = python_runner(&folder);
    let absolute = folder.path().join("sub/counts.py").display().to_string();
    let random = folder.path().join("sub/random.py").display().to_string();
    let mut run = |file: &str| {
        let result = runner.run(&task(file, "run"), &Data::new(), &Interrupter::new()).unwrap();
        (value(&result, "count"), value(&result, "name"))
    };
    assert_eq!(run(&absolute), (Value::Int(1), Value::from("counts")));
    assert_eq!(run("sub/counts.py"), (Value::Int(2), Value::from("counts")));
    assert_eq!(run(&random), (Value::Int(1), Value::from(random.as_str())));
}

#[test]
fn standard_input_is_empty_and_the_channel_is_out_of_the_way() {
    let mut python = Python::new(
        "
import os, sys, subprocess
def run():
    files = '/proc/self/fd/'
    own = {int(fd): os.readlink(files + fd) for fd in os.listdir(files) if os.path.lexists(files + fd)}
    channel = [fd for fd in own if own[fd].startswith('socket:') and fd >= 100]
    listed = subprocess.run(['ls', '-l', files], close_fds=False, capture_output=True, text=True).stdout
    return {'stdin': sys.stdin.read(), 'channel': channel, 'inherited': own[channel[0]] in listed}
",
    );
    let result = python.call("run", &Data::new()).unwrap();
    assert_eq!(value(&result, "stdin"), Value::from(""));
    assert_eq!(value(&result, "channel"), Value::from(vec![Value::Int(500)]));
    assert_eq!(value(&result, "inherited"), Value::Bool(false));
}

#[test]
fn an_older_python_does_as_well() {
    let home = std::env::var("HOME").unwrap_or_default();
    let too_old = ["2.7.18", "3.6.15", "3.7.16"].map(|version| format!("{home}/.pyenv/versions/{version}/bin/python3"));
    let too_old = too_old.into_iter().map(PathBuf::from).filter(|python| python.exists());
    for interpreter in versions::interpreters().into_values().chain(too_old) {
        let folder =
            Folder::with("tasks.py", "def run(x): return {'x': x, 'y': (n for n in 'a') if x == 2 else {1.5: {2}}}");
        let options = PythonOptions { interpreter: interpreter.into(), ..options(&folder) };
        let mut runner = Runner::new(Arc::new(DirectLauncher), Some(options.clone()));
        let mut run = |x: i32| runner.run(&task("tasks", "run"), &Data::new().with("x", x), &Interrupter::new());
        let version = options.interpreter.to_string_lossy().into_owned();
        match run(1) {
            Ok(result) => assert_eq!(value(&result, "x"), Value::Int(1), "{version}"),
            Err(error) => {
                assert!(["/3.6.", "/3.7.", "/2."].iter().any(|old| version.contains(old)), "{version}: {error}");
                let expected = format!(
                    "the Python interpreter {version} exited with code 1 before it was ready; it must be Python 3.8 or newer"
                );
                assert_error(&error, ErrorKind::WorkerLost, "WorkerLost", &expected);
                continue;
            }
        }
        assert_eq!(run(2).unwrap_err().kind, ErrorKind::BadResult, "{version}");
    }
}
