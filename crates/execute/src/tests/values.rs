//! Values from one Python task to the next, and the views of them that the scheduler sees.

use std::sync::OnceLock;

use pushflow_model::{List, Map, Opaque, from_value};

use super::*;

const OBJECTS: &str = "
import collections, datetime, decimal, enum, fractions, math, pathlib, sys, uuid

class Color(enum.Enum): RED = 3
class Level(enum.IntEnum): HIGH = 7
class Name(str): pass
class Own:
    def __init__(self, x): self.x = x
    def __eq__(self, other): return type(self) is type(other) and self.x == other.x
    def __hash__(self): return hash(self.x)
    def __repr__(self): return 'Own({!r})'.format(self.x)
Point = collections.namedtuple('Point', 'x y')

VALUES = {
    'none': None, 'true': True, 'zero': 0, 'minus': -1, 'small': 2 ** 63 - 1, 'smallest': -2 ** 63,
    'large': 2 ** 63, 'larger': 2 ** 4000, 'negative': -2 ** 63 - 1, 'huge': 3 ** 20000,
    'float': 1.5, 'inf': math.inf, 'minus_zero': -0.0,
    'text': 'é\\U0001f600', 'half': '\\ud800', 'halves': 'a\\udfffb' * 100, 'bytes': bytes(range(256)),
    'bytearray': bytearray(b'abc'), 'no_bytearray': bytearray(),
    'list': [1, [2, None]], 'tuple': (1, (2, ()), [3]), 'long_tuple': tuple(range(10)),
    'set': {1, 2}, 'texts': {'b', 'a', 'c'}, 'frozenset': frozenset({(1, 2)}), 'empty_set': set(), 'none_frozen': frozenset(),
    'dict': {'b': 1, 'a': (2,)}, 'keys': {1: 'a', (1, 2): 'b', None: 'c', 1.5: 'd', b'x': 'e', True + 1: 'f'},
    'clashing': {1: 'a', '1': 'b'}, 'half_key': {'\\ud800': 1}, 'object_keys': {Own(1): 2, Color.RED: 3, frozenset({1}): 4},
    'nested_keys': {'x': {1: {2: {3: (4,)}}}}, 'empty': {},
    'date': datetime.datetime(2000, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc), 'delta': datetime.timedelta(days=1),
    'decimal': decimal.Decimal('1.10'), 'fraction': fractions.Fraction(1, 3), 'complex': 1j,
    'path': pathlib.PurePosixPath('/a/b'), 'uuid': uuid.UUID(int=5), 'range': range(5), 'slice': [slice(1, 2)][0].start,
    'color': Color.RED, 'level': Level.HIGH, 'name': Name('n'), 'own': Own([1, (2,)]), 'point': Point(1, (2, Own(3))),
    'ordered': collections.OrderedDict(a=1, b=(2,)), 'counter': collections.Counter('aab'),
    'deep': [{'x': ({1, 2}, [Own(1)], {Own(2): (Own(3),)})}],
    'types': [str, int, bytearray, Own, len, sorted], 'ellipsis': ..., 'not_implemented': NotImplemented,
}

def make(): return dict(VALUES, default=collections.defaultdict(list, a=[1]))

def same(left, right):
    if type(left) is not type(right): return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(*p) for p in zip(left, right)) and all(
            same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right and (type(left) is not float or repr(left) == repr(right))

def check(default, **names):
    names_apart = [name for name in VALUES if not same(names.get(name), VALUES[name])]
    return {'apart': names_apart, 'missing': default['missing'], 'count': len(names)}
";

fn made() -> &'static Data {
    static MADE: OnceLock<Data> = OnceLock::new();
    MADE.get_or_init(|| Python::new(OBJECTS).call("make", &Data::new()).unwrap())
}

/// The result of a task, after it was encoded and decoded as between processes.
fn travelled(data: &Data) -> Data {
    Data::decode(&data.encode().unwrap()).unwrap()
}

fn json(data: &Data, name: &str) -> String {
    value(data, name).to_json().unwrap().to_string()
}

#[test]
fn every_value_keeps_its_type_from_one_task_to_the_next() {
    let result = Python::new(OBJECTS).call("check", &travelled(made())).unwrap();
    assert_eq!(value(&result, "apart"), Value::from(List::default()));
    assert_eq!(value(&result, "missing"), Value::from(List::default()), "a defaultdict is one still");
    assert_eq!(value(&result, "count").as_int().unwrap(), i64::try_from(made().len()).unwrap() - 1);
}

#[test]
fn plain_values_are_plain_to_everybody() {
    let plain = ["none", "true", "zero", "smallest", "small", "float", "inf", "text", "bytes", "list", "empty"];
    for name in plain {
        assert!(!matches!(value(made(), name), Value::Opaque(_)), "{name}");
    }
}

#[test]
fn json_shows_pythons_own_types_by_their_plain_counterparts() {
    assert_eq!(json(made(), "tuple"), "[1,[2,[]],[3]]");
    assert_eq!(json(made(), "texts"), r#"["a","b","c"]"#);
    assert_eq!(json(made(), "set"), "[1,2]");
    assert_eq!(json(made(), "frozenset"), "[[1,2]]");
    assert_eq!(json(made(), "bytearray"), r#"{"$bytes":"YWJj"}"#);
    assert_eq!(json(made(), "keys"), r#"{"1":"a","(1, 2)":"b","None":"c","1.5":"d","b'x'":"e","2":"f"}"#);
    assert_eq!(json(made(), "clashing"), r#"{"1":"a","1 (2)":"b"}"#);
    assert_eq!(json(made(), "level"), "7");
    assert_eq!(json(made(), "name"), r#""n""#);
    assert_eq!(json(made(), "ordered"), r#"{"a":1,"b":[2]}"#);
    assert_eq!(json(made(), "counter"), r#"{"a":2,"b":1}"#);
}

#[test]
fn json_shows_everything_else_by_type_and_text() {
    assert_eq!(json(made(), "large"), r#"{"$type":"int","$repr":"9223372036854775808"}"#);
    assert_eq!(json(made(), "negative"), r#"{"$type":"int","$repr":"-9223372036854775809"}"#);
    assert_eq!(json(made(), "delta"), r#"{"$type":"datetime.timedelta","$repr":"datetime.timedelta(days=1)"}"#);
    assert_eq!(json(made(), "own"), r#"{"$type":"tasks.Own","$repr":"Own([1, (2,)])"}"#);
    assert_eq!(json(made(), "color"), r#"{"$type":"tasks.Color","$repr":"<Color.RED: 3>"}"#);
    assert_eq!(json(made(), "point"), r#"{"$type":"tasks.Point","$repr":"Point(x=1, y=(2, Own(3)))"}"#);
    assert!(json(made(), "half").starts_with(r#"{"$type":"str","$repr":"#));
    assert!(json(made(), "huge").contains("<int of"), "{}", json(made(), "huge"));
}

#[test]
fn a_rust_task_reads_the_plain_counterpart_and_hands_on_the_rest() {
    assert_eq!(
        from_value::<(i64, (i64, ()), Vec<i64>)>(&value(made(), "tuple")).ok(),
        None,
        "an empty tuple is a list"
    );
    assert_eq!(from_value::<Vec<u8>>(&value(made(), "long_tuple")).unwrap(), (0..10).collect::<Vec<u8>>());
    assert_eq!(from_value::<std::collections::BTreeSet<String>>(&value(made(), "texts")).unwrap().len(), 3);
    assert_eq!(from_value::<u8>(&value(made(), "level")).unwrap(), 7);
    let error = from_value::<f64>(&value(made(), "decimal")).unwrap_err().to_string();
    assert_eq!(error, "expected f64, found an opaque value of type decimal.Decimal");
    let handed_on: Value = from_value(&value(made(), "own")).unwrap();
    assert_eq!(handed_on, value(made(), "own"));
}

#[test]
fn an_object_that_can_not_be_unpickled_is_named_with_its_input_and_type() {
    let mut python = Python::new(
        "
class Gone:
    pass
def make(): return {'x': [1, Gone()]}
def take(x=0): return {}
def lose():
    global Gone
    del Gone
    return {}
",
    );
    let made = python.call("make", &Data::new()).unwrap();
    python.call("lose", &Data::new()).unwrap();
    let error = python.call("take", &made).unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadInput);
    let expected = r#"the input "x" holds a tasks.Gone that can't be unpickled here (AttributeError: "#;
    assert!(error.message.starts_with(expected), "{error}");
    assert!(python.call("take", &Data::new()).is_ok(), "the interpreter goes on");
}

#[test]
fn an_object_of_a_file_that_no_import_finds_is_read_by_another_interpreter() {
    let folder = Folder::with("sub/shapes.py", "class Shape:\n  x = 5\ndef make(): return {'shape': Shape()}");
    folder.write("tasks.py", "def take(shape): return {'x': shape.x}");
    let file = folder.path().join("sub/shapes.py").display().to_string();
    let made = python_runner(&folder).run(&task(&file, "make"), &Data::new(), &Interrupter::new()).unwrap();
    let taken = python_runner(&folder).run(&task("tasks", "take"), &made, &Interrupter::new()).unwrap();
    assert_eq!(value(&taken, "x"), Value::Int(5));
}

#[test]
fn an_opaque_value_of_another_codec_is_refused() {
    let value = Value::from(Opaque::new("ruby", "Symbol"));
    let error = Python::new("def run(x): return {}").call("run", &Data::new().with("x", value)).unwrap_err();
    let message = r#"the input "x" holds an opaque value (type Symbol, codec "ruby") that no Python task can read"#;
    assert_error(&error, ErrorKind::BadInput, "BadInput", message);
}

#[test]
fn what_no_python_makes_is_refused_or_made_sense_of_but_loses_no_interpreter() {
    let mut python = Python::new("def run(x=0): return {}");
    let pid = |python: &mut Python| python.call("run", &Data::new()).map(|_| python.host_pid().unwrap()).unwrap();
    let before = pid(&mut python);
    let list = |element: Value| Value::List(List::from(vec![element]));
    let strange = [
        Opaque::new("python", "set").with_view(list(Map::default().into())),
        Opaque::new("python", "dict").with_view(Map::from_iter([("a", Value::Null)]).into()).with_content(vec![1]),
        Opaque::new("python", "int").with_view(list(1.into())),
        Opaque::new("python", "tuple"),
        Opaque::new("python", "unknown"),
        Opaque::new("str", "str").with_content(vec![0xff]),
        Opaque::new("pickle", "x").with_content(vec![1, 2, 3]),
        Opaque::new("pickle with file", "x").with_content(b"\x80\x04K\x01.".to_vec()),
        Opaque::new("exception", "x").with_content(b"\x80\x04K\x01.".to_vec()),
    ];
    for opaque in strange {
        let shown = format!("{opaque:?}");
        if let Err(error) = python.call("run", &Data::new().with("x", Value::from(opaque))) {
            assert_eq!(error.kind, ErrorKind::BadInput, "{shown}: {error}");
        }
        assert_eq!(pid(&mut python), before, "{shown}");
    }
}

#[test]
fn an_exception_reaches_the_next_task_whole() {
    let mut python = Python::new(
        "
class Own(Exception):
    def __init__(self, code, text):
        super().__init__(code, text)
        self.code = code
def fails():
    error = Own(5, 'broken')
    error.more = (1, {2})
    raise error
def handles(error):
    return {'code': error.code, 'more': error.more == (1, {2}), 'own': type(error) is Own, 'cause': str(error.__cause__)}
def reraises(error):
    raise error
",
    );
    let error = python.failure("fails");
    let instance = Payload::from_encoded(error.instance().unwrap().clone());
    assert_eq!(
        instance.value().unwrap().to_json().unwrap().to_string(),
        r#"{"$type":"tasks.Own","$repr":"Own(5, 'broken')"}"#
    );
    let inputs = Data::from_iter([("error", instance)]);
    let result = python.call("handles", &inputs).unwrap();
    assert_eq!((value(&result, "code"), value(&result, "more")), (Value::Int(5), Value::Bool(true)));
    assert_eq!(value(&result, "own"), Value::Bool(true));
    let cause = value(&result, "cause");
    assert!(cause.as_str().unwrap().contains("in fails\n"), "where it was raised: {cause:?}");
    let again = python.call("reraises", &inputs).unwrap_err();
    assert_eq!(again.type_name, "tasks.Own");
    assert!(again.traceback.iter().any(|line| line.contains("in fails")), "{:#?}", again.traceback);
}

#[test]
fn an_exception_that_can_not_be_pickled_says_so_and_loses_nothing_else() {
    let mut python = Python::new(
        "
class Needs(Exception):
    def __init__(self, one, two): super().__init__('text')
def needs(): raise Needs(1, 2)
def holds():
    error = ValueError('v')
    error.function = lambda: 1
    raise error
",
    );
    for (function, type_name, message) in [("needs", "tasks.Needs", "text"), ("holds", "ValueError", "v")] {
        let error = python.failure(function);
        assert_eq!((error.type_name.as_str(), error.message.as_str(), error.instance()), (type_name, message, None));
        let last = error.traceback.last().unwrap();
        assert!(last.starts_with("The exception can't be pickled ("), "{last}");
    }
}

#[test]
fn notes_and_causes_are_in_the_traceback() {
    let mut python = Python::new(
        "
def run():
    try:
        1 / 0
    except ZeroDivisionError as cause:
        error = ValueError('v')
        error.__notes__ = ['first note', 'second note']
        raise error from cause
",
    );
    let error = python.failure("run");
    let lines = &error.traceback;
    for line in ["ZeroDivisionError: division by zero", "ValueError: v", "first note", "second note"] {
        assert!(lines.iter().any(|known| known == line), "{line}: {lines:#?}");
    }
    assert_eq!(error.notes(), ["first note", "second note"]);
    assert_eq!(causes(&error), ["ZeroDivisionError: division by zero"]);
}

fn causes(error: &TaskError) -> Vec<String> {
    error.causes().iter().map(|cause| format!("{}: {}", cause.type_name, cause.message)).collect()
}

#[test]
fn causes_and_contexts_are_told_the_nearest_first_unless_they_are_hidden() {
    let mut python = Python::new(
        "
def nested():
    try:
        try:
            raise KeyError('a')
        except KeyError:
            raise TypeError('b')
    except TypeError as error:
        raise ValueError('c') from error
def hides():
    try:
        raise KeyError('a')
    except KeyError:
        raise ValueError('c') from None
def in_a_circle():
    first, second = ValueError('1'), ValueError('2')
    first.__cause__, second.__cause__ = second, first
    raise first
def for_ever():
    error = ValueError('last')
    for number in range(1000):
        outer = ValueError(str(number))
        outer.__cause__ = error
        error = outer
    raise error
def again(error):
    raise error
",
    );
    let mut told = |function| causes(&python.failure(function));
    assert_eq!(told("nested"), ["TypeError: b", "KeyError: 'a'"]);
    assert!(told("hides").is_empty());
    assert_eq!(told("in_a_circle"), ["ValueError: 2"]);
    assert_eq!(told("for_ever").len(), 20);
    // An exception that a handler raises again has its origin as text, which is no cause.
    let instance = Payload::from_encoded(python.failure("hides").instance().unwrap().clone());
    let again = python.call("again", &Data::from_iter([("error", instance)])).unwrap_err();
    assert!(causes(&again).is_empty(), "{again:?}");
}

#[test]
fn an_error_that_is_no_python_exception_reaches_a_task_as_one() {
    let mut python = Python::new("def run(error): return {'type': type(error).__name__, 'text': str(error)}");
    let lost = Opaque::new(pushflow_model::ERROR_CODEC, "WorkerLost").with_text("WorkerLost: it was killed");
    let result = python.call("run", &Data::new().with("error", Value::from(lost))).unwrap();
    assert_eq!(value(&result, "type"), Value::from("RuntimeError"));
    assert_eq!(value(&result, "text"), Value::from("WorkerLost: it was killed"));
}
