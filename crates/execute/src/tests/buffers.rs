//! Long buffers of Python values: they arrive unchanged, do not go through the channel, and are released.

use std::collections::HashSet;

use bytes::Bytes;
use pushflow_model::Opaque;
use pushflow_protocol::slabs::{Grant, GrantSource, Place, SlabStore};

use super::*;

const MIB: usize = 1 << 20;

/// An array type that needs no library. Pickle sees its elements as a buffer, as those of a numpy array.
const ARRAY: &str = "
import pickle, os, mmap, sys
class Array:
    def __init__(self, content, more=None): self.content, self.more = content, more
    def __reduce_ex__(self, protocol):
        assert protocol == 5
        return Array, (pickle.PickleBuffer(self.content), self.more)
def files():
    return len(os.listdir('/proc/self/fd'))
def mappings():
    return sum('pushflow slab' in line for line in open('/proc/self/maps'))
";

fn python(functions: &str) -> Python {
    Python::new(&[ARRAY, functions].concat())
}

/// A task that gets the result of another one.
fn on(python: &mut Python, function: &str, data: &Data) -> Data {
    python.call(function, data).unwrap_or_else(|error| panic!("{function}: {error} {:?}", error.traceback))
}

impl Python {
    fn carried(&self) -> u64 {
        self.runner.host.as_ref().unwrap().carried()
    }

    fn leased_buffers(&self) -> usize {
        self.runner.host.as_ref().unwrap().leased_buffers()
    }
}

fn opaque(data: &Data, name: &str) -> Opaque {
    let Value::Opaque(opaque) = value(data, name) else { panic!("{name} is not opaque") };
    *opaque
}

#[test]
fn long_parts_do_not_go_through_the_channel() {
    let mut python = python(
        "
def make():
    content = bytearray(64 << 20)
    content[::4096] = b'x' * len(content[::4096])
    return {'array': Array(content), 'bytes': bytes(content), 'bytearray': content}
def check(array, bytes, bytearray):
    assert type(array.content) is memoryview and not array.content.readonly
    assert array.content == bytes == bytearray and len(bytes) == 64 << 20
    assert [type(x).__name__ for x in (bytes, bytearray)] == ['bytes', 'bytearray']
    return {'array': array, 'bytes': bytes, 'bytearray': bytearray}
",
    );
    let made = on(&mut python, "make", &Data::new());
    let Value::Bytes(plain) = value(&made, "bytes") else { panic!("no bytes") };
    assert_eq!((plain.len(), plain[4096]), (64 * MIB, b'x'));
    assert_eq!(opaque(&made, "array").buffers, [(*plain).clone()]);
    let mut data = made;
    for _ in 0..3 {
        data = on(&mut python, "check", &data);
    }
    assert!(python.carried() < 256 * 1024, "{} bytes went through the channel", python.carried());
}

#[test]
fn what_a_task_changes_nobody_else_sees_and_what_it_keeps_nobody_changes() {
    let mut python = python(
        "
kept = []
def make(byte): return {'array': Array(bytearray([byte]) * (1 << 20))}
def change(array):
    kept.append(array)
    array.content[5] = 99
    return {'array': array}
def read(array): return {'bytes': [array.content[0], array.content[5]]}
def check_kept(): return {'bytes': [[array.content[5], array.content[6]] for array in kept]}
",
    );
    let bytes = |data: &Data| value(data, "bytes");
    let numbers = |numbers: &[i64]| Value::from(numbers.iter().map(|number| Value::Int(*number)).collect::<Vec<_>>());
    let mut expected = Vec::new();
    for byte in 0..20 {
        let made = on(&mut python, "make", &Data::new().with("byte", byte));
        let changed = on(&mut python, "change", &made);
        assert_eq!(bytes(&on(&mut python, "read", &made)), numbers(&[byte, byte]), "what was changed is another's");
        assert_eq!(bytes(&on(&mut python, "read", &changed)), numbers(&[byte, 99]));
        expected.push(numbers(&[99, byte]));
    }
    assert_eq!(bytes(&on(&mut python, "check_kept", &Data::new())), Value::from(expected));
    assert_eq!(python.leased_buffers(), 20, "what is kept, and nothing else");
}

#[test]
fn what_is_handed_on_unchanged_is_the_same_memory() {
    let mut python = python(
        "
def make(): return {'array': Array(bytearray(1 << 20))}
def hand_on(array): return {'array': array, 'part': Array(array.content[8:1 << 19]), 'again': array}
def change(array):
    array.content[-1] = 1
    return {'array': array}
",
    );
    let made = on(&mut python, "make", &Data::new());
    let handed = on(&mut python, "hand_on", &made);
    let address = |data: &Data, name: &str| opaque(data, name).buffers[0].as_ptr().addr();
    let before = address(&made, "array");
    assert_eq!((address(&handed, "array"), address(&handed, "again")), (before, before));
    assert_eq!(address(&handed, "part"), before + 8);
    drop(made);
    let again = on(&mut python, "hand_on", &Data::new().merged(&handed_array(&handed)));
    assert_eq!(address(&again, "array"), before);
    let changed = on(&mut python, "change", &handed_array(&handed));
    assert_ne!(address(&changed, "array"), before);
    let ends = |data: &Data| *opaque(data, "array").buffers[0].last().unwrap();
    assert_eq!((ends(&handed), ends(&changed)), (0, 1));
}

fn handed_array(data: &Data) -> Data {
    Data::from_iter([("array", data.named("array").unwrap().clone())])
}

#[test]
fn nothing_piles_up_in_many_rounds() {
    let mut python = python(
        "
def start(): return {'array': Array(bytearray(1 << 20), bytes(200_000)), 'seen': []}
def round(array, seen):
    array.content[0] = (array.content[0] + 1) % 256
    return {'array': array, 'seen': [files(), mappings()]}
",
    );
    let mut data = on(&mut python, "start", &Data::new());
    let (mut seen, mut used) = (Vec::new(), HashSet::new());
    for _ in 0..200 {
        data = on(&mut python, "round", &data);
        seen.push((value(&data, "seen"), python.leased_buffers()));
        used.extend(opaque(&data, "array").buffers.iter().map(|buffer| buffer.as_ptr().addr()));
    }
    assert!(seen[3..].iter().all(|facts| *facts == seen[3]), "{:?} {:?}", seen[3], seen.last());
    assert_eq!(seen[3].1, 0, "nothing is lent between rounds");
    assert_eq!(opaque(&data, "array").buffers.iter().map(Bytes::len).collect::<Vec<_>>(), [200_000, MIB]);
    assert!(used.len() <= 6, "the same memory is used again and again: {used:?}");
}

#[test]
fn a_copy_of_the_interpreter_keeps_what_it_had() {
    let mut python = python(
        "
import time
def make(byte): return {'array': Array(bytearray([byte]) * (1 << 20))}
def forks(array, folder):
    child = os.fork()
    if child:
        return {'child': child}
    while not os.path.exists(folder + '/go'):
        time.sleep(0.001)
    same = bytes(array.content) == bytes([1]) * (1 << 20)
    os.write(os.open(folder + '/seen.part', os.O_WRONLY | os.O_CREAT), str(same).encode())
    os.rename(folder + '/seen.part', folder + '/seen')
    os._exit(0)
def waits(child):
    os.waitpid(child, 0)
    return {}
",
    );
    let folder = python.folder.path().to_owned();
    let make = |python: &mut Python, byte: i32| on(python, "make", &Data::new().with("byte", byte));
    let made = make(&mut python, 1);
    let given = handed_array(&made).with("folder", folder.to_str().unwrap());
    let forked = on(&mut python, "forks", &given);
    assert_eq!(python.leased_buffers(), 0, "the interpreter has released what its copy still has");
    let address = opaque(&made, "array").buffers[0].as_ptr().addr();
    drop((made, given));
    // The interpreter uses the memory again.
    assert_eq!(opaque(&make(&mut python, 2), "array").buffers[0].as_ptr().addr(), address);
    fs::write(folder.join("go"), "").unwrap();
    on(&mut python, "waits", &forked);
    assert_eq!(fs::read_to_string(folder.join("seen")).unwrap(), "True");
}

#[test]
fn without_a_number_for_a_file_everything_goes_through_the_channel() {
    let mut python = python(
        "
import resource
def make(): return {'array': Array(bytearray(b'ab') * 500_000, b'cd' * 50_000), 'bytes': b'ef' * 500_000}
def limit():
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, 4096))
    return {}
def hand_on(array, bytes):
    assert array.content == bytearray(b'ab') * 500_000 and array.more == b'cd' * 50_000 and bytes == b'ef' * 500_000
    array.content[0] = array.content[0]
    return {'array': array, 'bytes': bytes}
",
    );
    let made = on(&mut python, "make", &Data::new());
    on(&mut python, "limit", &Data::new());
    let before = python.carried();
    let handed = on(&mut python, "hand_on", &made);
    assert!(python.carried() - before > 4 * MIB as u64, "both ways");
    assert_eq!(python.leased_buffers(), 0);
    let again = on(&mut python, "hand_on", &handed);
    assert_eq!(value(&again, "bytes"), value(&made, "bytes"));
}

/// A source of shared memory that never grants any.
struct NoGrants;

impl GrantSource for NoGrants {
    fn grant(&self, _: usize) -> Option<Grant> {
        None
    }

    fn place(&self, _: &Bytes) -> Option<Place> {
        None
    }
}

/// One value of each type that is long, or holds a long value.
const KINDS: &str = "
import collections, dataclasses
class Own(bytes): pass
@dataclasses.dataclass
class Record:
    array: object
    text: str
    content: bytes
def make():
    long, shared = bytes(range(256)) * 1000, Array(bytearray(100_000))
    sizes = [0, 1, 65_535, 65_536, 65_537, 300_000]
    return {
        'nested': {'list': [Array(bytearray(b'x' * 70_000)), (1, Array(b'y' * 80_000))], 3: long},
        'record': Record(Array(bytearray(b'r' * 90_000)), 'text \\u20ac' * 20_000, b'c' * 100_000),
        'own': Own(long), 'text': '\\U0001f600' * 100_000, 'odd': '\\ud800' * 100_000,
        'twice': [shared, shared], 'inside': Record(shared, shared, shared),
        'sizes': [Array(bytearray(b's' * size)) for size in sizes], 'bytes': [b's' * size for size in sizes],
        'bytearrays': [bytearray(b's' * size) for size in sizes], 'read_only': Array(long),
        'keys': {Own(long): 1, frozenset([long]): 2}, 'set': {long}, 'large': 1 << 2_000_000,
        'counter': collections.OrderedDict(x=long),
    }
def check(**values):
    expected = make()
    def same(left, right):
        assert type(left) is type(right) or {type(left), type(right)} <= {memoryview, bytes, bytearray}, (type(left), type(right))
        if isinstance(left, dict):
            assert list(left) == list(right)
            return all(same(left[key], right[key]) for key in left)
        if isinstance(left, (list, tuple)):
            return len(left) == len(right) and all(map(same, left, right))
        if hasattr(left, '__dict__') and vars(left):
            return same(vars(left), vars(right))
        return left == right
    for name, value in values.items():
        assert same(expected[name], value), name
    inside = values['inside']
    assert inside.array is inside.text is inside.content, 'one object stays one'
    writable = [memoryview(x).readonly for x in (values['twice'][0].content, values['read_only'].content)]
    assert writable == [False, True], writable
    return values
";

/// Makes one value of each type, and checks it in two further tasks.
fn hand_on_every_kind(python: &mut Python) {
    let made = on(python, "make", &Data::new());
    let once = on(python, "check", &made);
    // The form of a message that holds all of the value.
    let travelled = Data::decode(&once.encode().unwrap()).unwrap();
    on(python, "check", &travelled);
    assert_eq!(made.len(), 15);
}

#[test]
fn every_kind_of_long_thing_arrives_as_it_was() {
    hand_on_every_kind(&mut python(KINDS));
}

#[test]
fn every_kind_of_long_thing_arrives_as_it_was_where_there_is_no_room() {
    let mut python = python(KINDS);
    python.runner = python_runner(&python.folder).with_grants(Arc::new(NoGrants));
    hand_on_every_kind(&mut python);
}

#[test]
fn every_kind_of_long_thing_arrives_as_it_was_in_every_python() {
    for (version, interpreter) in versions::interpreters() {
        let mut python = python(&[KINDS, CHANGES].concat());
        let options = PythonOptions { interpreter: interpreter.into(), ..options(&python.folder) };
        python.runner = Runner::new(Arc::new(DirectLauncher), Some(options));
        hand_on_every_kind(&mut python);
        let made = on(&mut python, "make_one", &Data::new());
        let changed = on(&mut python, "change", &made);
        let address = |data: &Data, name: &str| opaque(data, name).buffers[0].as_ptr().addr();
        assert_eq!(address(&changed, "same"), address(&made, "same"), "{version}");
        assert_ne!(address(&changed, "array"), address(&made, "array"), "{version}");
        assert_eq!((opaque(&made, "array").buffers[0][5], opaque(&changed, "array").buffers[0][5]), (0, 1));
        assert_eq!(python.leased_buffers(), 0, "{version}");
    }
}

const CHANGES: &str = "
def make_one(): return {'array': Array(bytearray(1 << 20)), 'same': Array(bytearray(1 << 20)), 'large': b'0123456789abcdef' * 500_000}
def change(array, same, large):
    assert type(large) is bytes and large == b'0123456789abcdef' * 500_000
    before = files()
    array.content[5] = 1
    assert mappings() >= 2 and files() == before, 'a mapping keeps no file open'
    return {'array': array, 'same': same}
";

#[test]
fn what_an_interpreter_leaves_behind_that_is_killed_is_used_again() {
    let mut python = python(
        "
import signal
def make(): return {'array': Array(bytearray(8 << 20))}
def dies(array):
    def pwrite(*_): os.kill(os.getpid(), signal.SIGKILL)
    os.pwrite = pwrite
    return {'array': array, 'new': Array(bytearray(8 << 20))}
",
    );
    let store = SlabStore::default();
    python.runner = python_runner(&python.folder).with_grants(Arc::new(store.clone()));
    let mut places = HashSet::new();
    for _ in 0..10 {
        let made = on(&mut python, "make", &Data::new());
        let error = python.call("dies", &made).unwrap_err();
        assert_eq!(error.kind, ErrorKind::WorkerLost);
        assert!(error.message.ends_with("was killed by signal 9 (SIGKILL)"), "{}", error.message);
        assert_eq!(python.leased_buffers(), 0);
        drop(made);
        let grants = [0; 2].map(|_| GrantSource::grant(&store, 8 * MIB).unwrap().into_bytes());
        places.extend(grants.map(|grant| grant.as_ptr().addr()));
    }
    assert_eq!(places.len(), 2, "the same two slabs again and again");
}

#[test]
fn the_threads_of_one_interpreter_hand_on_what_others_were_given() {
    let source = "
import threading
both = threading.Barrier(2)
given = []
def make(byte): return {'array': Array(bytearray([byte]) * (1 << 20))}
def meets(array, byte):
    given.append(array)
    both.wait(60)
    pair = {'own': array, 'other': next(x for x in given if x is not array)}
    both.wait(60)
    given.clear()
    return pair
def look(own, other, byte):
    assert own.content[0] == byte and other.content[0] == 3 - byte
    return {}
def releases():
    # In both threads, which have kept what their last reply has named.
    both.wait(60)
    return {}
";
    let folder = Folder::with("tasks.py", &[ARRAY, source].concat());
    let shared = Arc::new(SharedPython::new(options(&folder), Environment::Plain, Arc::new(DirectLauncher)));
    for _ in 0..20 {
        std::thread::scope(|scope| {
            for byte in 1..3 {
                let runner = Runner::sharing(Arc::new(DirectLauncher), shared.clone());
                let folder = Folder::new();
                scope.spawn(move || {
                    let (mut python, byte) = (Python { runner, folder }, Data::new().with("byte", byte));
                    let made = on(&mut python, "make", &byte);
                    let pair = on(&mut python, "meets", &made.merged(&byte));
                    on(&mut python, "look", &pair.merged(&byte));
                });
            }
        });
    }
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let mut runner = Runner::sharing(Arc::new(DirectLauncher), shared.clone());
            scope.spawn(move || {
                runner.run(&task("tasks", "releases"), &Data::new(), &Interrupter::new()).unwrap();
            });
        }
    });
    assert_eq!(shared.leased_buffers(), 0);
}
