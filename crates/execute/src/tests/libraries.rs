//! Tasks that use common Python libraries: numpy, billiard and gevent. Where the interpreter lacks a library, its tests
//! print that, and fail in CI.

use super::*;

/// A module of tasks that needs a library; `None` where the library is not installed.
pub(super) fn with_library(library: &str, source: &str) -> Option<Python> {
    is_there(library).then(|| Python::new(source))
}

/// Whether the interpreter of the tests has a library; in CI it must have it.
pub(super) fn is_there(library: &str) -> bool {
    let mut python =
        Python::new("import importlib.util\ndef run(name): return {'x': importlib.util.find_spec(name) is not None}");
    if value(&python.call("run", &Data::new().with("name", library)).unwrap(), "x") == Value::Bool(true) {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{library} is needed: install it for the interpreter that runs the tests"
    );
    eprintln!("not tested: the interpreter has no {library}");
    false
}

#[test]
fn arrays_travel_whole_and_scalars_are_numbers_to_everybody() {
    let source = "
def make():
    import numpy
    return {
        'array': numpy.arange(6.0).reshape(2, 3)[:, ::-1], 'large': numpy.zeros(1_000_000), 'integer': numpy.int64(5),
        'float': numpy.float64(1.5), 'flag': numpy.bool_(True), 'list': [numpy.arange(2), numpy.int8(1)],
    }
def look(array, large, integer, float, flag, list):
    import numpy
    return {'same': bool((array == numpy.arange(6.0).reshape(2, 3)[:, ::-1]).all()) and large.shape == (1_000_000,)
            and [type(x) for x in (integer, float, flag, *list)] == [numpy.int64, numpy.float64, numpy.bool_, numpy.ndarray, numpy.int8]}
";
    let Some(mut python) = with_library("numpy", source) else { return };
    let made = python.call("make", &Data::new()).unwrap();
    assert_eq!(value(&python.call("look", &made).unwrap(), "same"), Value::Bool(true));
    let json = |name: &str| value(&made, name).to_json().unwrap().to_string();
    assert_eq!((json("integer"), json("float"), json("flag")), ("5".into(), "1.5".into(), "true".into()));
    assert_eq!(json("large"), r#"{"$type":"numpy.ndarray","$repr":"<ndarray of float64 (1000000,)>"}"#);
    assert_eq!(json("list"), r#"[{"$type":"numpy.ndarray","$repr":"array([0, 1])"},1]"#);
}

#[test]
fn long_arrays_of_every_layout_arrive_as_they_were() {
    let source = "
def arrays():
    import numpy, datetime
    whole = numpy.arange(300_000.0).reshape(300, 1000)
    frozen = whole.copy()
    frozen.flags.writeable = False
    record = numpy.dtype([('x', numpy.int32), ('y', numpy.float64, 3)])
    return {
        'whole': whole, 'columns': numpy.asfortranarray(whole), 'part': whole[::2, ::3], 'back': whole[::-1],
        'frozen': frozen, 'empty': numpy.zeros((0, 5)), 'point': numpy.array(1.5), 'swapped': whole.astype('>f8'),
        'objects': numpy.array([None, 'a', datetime.date(2000, 1, 2)] * 30_000, dtype=object),
        'records': numpy.zeros(20_000, dtype=record), 'texts': numpy.array(['abc', 'de'] * 50_000),
        'times': numpy.arange('2000-01', '2010-01', dtype='datetime64[m]'), 'wide': numpy.ones(50_000, dtype=complex),
        'masked': numpy.ma.masked_less(whole, 5), 'matrix': numpy.eye(300).view(numpy.matrix),
    }
def make():
    values = arrays()
    return {**values, 'nested': {'a': [values['whole'], (values['columns'],)]}, 'same': [values['whole']] * 2}
def look(**values):
    import numpy
    expected = arrays()
    nested, same = values.pop('nested'), values.pop('same')
    values.update(nested=nested['a'][0], tuple=nested['a'][1][0], first=same[0], second=same[1])
    expected.update(nested=expected['whole'], tuple=expected['columns'], first=expected['whole'], second=expected['whole'])
    for name, value in values.items():
        other = expected[name]
        assert type(value) is type(other) and value.dtype == other.dtype and value.shape == other.shape, name
        assert (value == other).all() or not value.size, name
        if name not in ('masked', 'part', 'back'):
            for flag in ('writeable', 'aligned', 'f_contiguous'):
                assert getattr(value.flags, flag) == getattr(other.flags, flag), (name, flag)
        if value.flags.writeable and value.size:
            value[...] = value.flat[0]
    return {'last': values['whole'], 'seen': len(values)}
";
    let Some(mut python) = with_library("numpy", source) else { return };
    let made = python.call("make", &Data::new()).unwrap();
    for _ in 0..2 {
        let seen = python.call("look", &made).unwrap_or_else(|error| panic!("{error} {:?}", error.traceback));
        assert_eq!(value(&seen, "seen"), Value::Int(19), "and what the first look has changed is as it was");
    }
    assert!(python.runner.host.as_ref().unwrap().carried() < 3_000_000, "only what numpy pickles piece by piece");
}

#[test]
fn billiard_knows_the_process() {
    let source = "
def run():
    import billiard
    own = billiard.current_process()
    process = billiard.Process(target=len, args=([],))
    process.start()
    process.join()
    return {'name': own.name, 'daemon': own.daemon, 'code': process.exitcode}
";
    let Some(mut python) = with_library("billiard", source) else { return };
    let result = python.call("run", &Data::new()).unwrap();
    assert_eq!((value(&result, "name"), value(&result, "code")), (Value::from("MainProcess"), Value::Int(0)));
    assert_eq!(value(&result, "daemon"), Value::Bool(false));
}
