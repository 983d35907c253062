"""Runs Python tasks for a pushflow worker, one after the other, until the worker closes its channel.

Started with the channel as standard input and the folders to search as arguments. A message on the channel is MAGIC, the
length of what follows (8 bytes, little endian), one byte that says what it is, and a pickle.
"""

import os
import sys
from io import BytesIO
from time import perf_counter

import _signal  # the half of `signal` that needs no enumerations, which would double the time of its import

try:
    from _pickle import Pickler, dumps, loads  # the half of `pickle` that is not written in Python
except ImportError:
    from pickle import Pickler, dumps, loads

MAGIC = b"pfpy"
HEADER = len(MAGIC) + 8

# The only request.
TASK = ord("T")
# The replies. NOT_STARTED: an interrupt came before the task began.
READY, RESULT, NO_MAPPING, TOO_DEEP, FAILED, MISSING, INTERRUPTED, NOT_STARTED = b"HRWDEMIN"

# How long, in seconds, the next request is waited for without sleeping: waking up takes as long again.
SPIN = 50e-6

HOST = os.getpid()


class Missing(Exception):
    """The task's module or function does not exist."""


class NotStarted(BaseException):
    """The interrupt came before the task."""


# ---- interrupts ----------------------------------------------------------------------------------------------------

# Whether a task runs that has not been interrupted yet. Nothing but a task ever gets a KeyboardInterrupt, and only one.
running = False
# Whether an interrupt came while no task ran. It may be meant for the next one, whose request is on its way, or may have come
# too late for the last one: the next request is answered with NOT_STARTED, and the worker knows whether to ask again. A
# signal that was sent before a request is noted here before that request is read.
pending = False


def on_interrupt(_number, _frame):
    global running, pending
    if running:
        running = False
        raise KeyboardInterrupt
    pending = True


def listen_for_interrupts():
    """Also undoes what a task did to the handling of the signal."""
    if _signal.getsignal(_signal.SIGINT) is not on_interrupt:
        _signal.signal(_signal.SIGINT, on_interrupt)


# ---- the channel ---------------------------------------------------------------------------------------------------


def open_channel():
    """Moves the channel from standard input, which becomes empty, to a high number, out of the way of tasks."""
    import fcntl

    for lowest in (500, 100, 10):
        try:
            channel = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, lowest)
            break
        except OSError:  # beyond the limit of this process
            continue
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    return channel


def open_poll():
    import select

    poll = select.poll()
    poll.register(CHANNEL, select.POLLIN)
    return poll.poll


def close_channel_in_copy():
    """A fork of this process must neither write on the channel nor keep it open."""
    try:
        status = os.fstat(CHANNEL)
        if (status.st_dev, status.st_ino) == CHANNEL_FILE:
            os.close(CHANNEL)
    except OSError:
        pass


def read(into):
    """How many bytes were read; 0 at the end, which may be that of a worker that was killed."""
    try:
        return os.readv(CHANNEL, [into])
    except ConnectionError:
        return 0


def receive():
    """The next message without its header, valid until the next call; None at the end."""
    message, filled = BUFFER, 0
    latest = perf_counter() + SPIN
    while not POLL(0) and perf_counter() < latest:
        os.sched_yield()
    while filled < HEADER:
        count = read(message[filled:])
        if count == 0:
            return None
        filled += count
    length = HEADER + int.from_bytes(message[len(MAGIC) : HEADER], "little")
    if length > len(message):
        message = memoryview(bytearray(length))
        message[:filled] = BUFFER[:filled]
    while filled < length:
        count = read(message[filled:length])
        if count == 0:
            return None
        filled += count
    return message[HEADER:length]


def encode(kind, value):
    """One message; `value` is left out if it is `None`."""
    if kind == RESULT and ATOMS.issuperset(map(type, value)) and ATOMS.issuperset(map(type, value.values())):
        pickle = dumps(value, 4)
        return MAGIC + (1 + len(pickle)).to_bytes(8, "little") + b"R" + pickle
    buffer = BytesIO()
    buffer.write(MAGIC + bytes(8))
    buffer.write(bytes([kind]))
    if value is not None:
        PlainPickler(buffer, 4).dump(value)
    message = buffer.getbuffer()
    message[len(MAGIC) : HEADER] = (len(message) - HEADER).to_bytes(8, "little")
    return message


def send(message):
    """Also makes sure that what the task printed is out before its result."""
    flush()
    try:
        sent = os.write(CHANNEL, message)
        while sent < len(message):
            sent += os.write(CHANNEL, message[sent:])
    except ConnectionError:  # nobody wants to know any more
        sys.exit(1)
    except OSError as error:
        sys.exit("a task broke the channel to the worker: {}".format(error))


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # a task may have closed or replaced it
            pass


# Copies of the files 1 and 2, each with its number.
OUTPUT = []


def keep_output():
    import fcntl

    for number in (1, 2):
        try:
            OUTPUT.append((fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, CHANNEL), number))
        except OSError:  # it was not open
            pass


def restore_output():
    """What a task has closed is open for the next one."""
    for copy, number in OUTPUT:
        os.dup2(copy, number)
    if getattr(sys.stdout, "closed", False):
        sys.stdout = reopen(1, sys.stdout)
    if getattr(sys.stderr, "closed", False):
        sys.stderr = reopen(2, sys.stderr)


def reopen(number, closed):
    encoding, errors = getattr(closed, "encoding", None), getattr(closed, "errors", None)
    return open(number, "w", 1, encoding, errors, closefd=False)


# ---- what tasks take and return ------------------------------------------------------------------------------------

PLAIN = (
    (float, float.__float__),
    (int, int.__int__),
    (str, str.__str__),
    (bytes, lambda value: bytes.__getitem__(value, slice(None))),
    (list, list.copy),
    (tuple, lambda value: tuple.__getitem__(value, slice(None))),
    (dict, dict),
)


# Plain without a closer look, which makes a difference for small results.
ATOMS = frozenset((type(None), bool, int, float, str))


class PlainPickler(Pickler):
    """Writes plain values, those of derived types as if they were plain, and of anything else the name of its type.

    The two special cases are written as calls of `str`, which the worker knows: with one argument, the name of a type;
    with two, the second is the value.
    """

    def reducer_override(self, value):
        if value is str:
            return NotImplemented
        for plain, convert in PLAIN:
            if isinstance(value, plain):
                return str, (None, convert(value))
        return str, (type_name(type(value)),)


def type_name(kind):
    module, name = kind.__module__, kind.__qualname__
    return clean(name if module in ("builtins", "__main__") else "{}.{}".format(module, name))


# ---- finding tasks -------------------------------------------------------------------------------------------------

# Modules loaded from files, by the real path.
loaded_files = {}


def find_task(module, function):
    found = load_file(module) if module.endswith(".py") else load_module(module)
    try:
        task = getattr(found, function)
    except AttributeError:
        names = [name for name, value in getattr(found, "__dict__", {}).items() if callable(value)]
        message = 'the module "{}" has no function "{}"{}'.format(module, function, did_you_mean(function, names))
        raise Missing(message) from None
    if not callable(task):
        kind = type_name(type(task))
        raise Missing('"{}" of the module "{}" is no function, but of type {}'.format(function, module, kind))
    return task


def load_module(name):
    if not name or not all(name.split(".")):
        raise Missing('"{}" is no name of a module'.format(name))
    for is_last_try in (False, True):
        try:
            __import__(name)
            return sys.modules[name]
        except ModuleNotFoundError as error:
            missing = error.name or ""
            if not (name + ".").startswith(missing + ".") or own_frames(error.__traceback__):
                raise
            if is_last_try:
                raise Missing(no_module(missing)) from None
        # The file may be younger than what the import system remembers of its folder.
        import importlib

        importlib.invalidate_caches()


def no_module(name):
    import pkgutil

    parent, _, last = name.rpartition(".")
    prefix = parent + "." if parent else ""
    if not parent:
        folders, where = SEARCH, ", ".join(SEARCH) + " or on Python's own path" if SEARCH else "Python's path"
    elif hasattr(sys.modules.get(parent), "__path__"):
        folders = list(sys.modules[parent].__path__)
        where = ", ".join(folders)
    else:
        return 'no module named "{}": "{}" is a module, not a package'.format(name, parent)
    names = [module.name for module in pkgutil.iter_modules(folders)]
    advice = did_you_mean(last, names, prefix)
    if not advice and not parent:
        advice = did_you_mean(last, [module.name for module in pkgutil.iter_modules()])
    return 'no module named "{}" in {}{}'.format(name, where, advice)


def load_file(path):
    """The module in a file; a relative path is looked for in the folders to search, then in the current folder."""
    places = [os.path.join(folder, path) for folder in SEARCH + [os.getcwd()]]
    place = next((place for place in places if os.path.isfile(place)), None)
    if place is None:
        raise Missing(no_file(path, places))
    place = os.path.realpath(place)
    if place not in loaded_files:
        loaded_files[place] = execute_file(place)
    return loaded_files[place]


def no_file(path, places):
    folders = list(dict.fromkeys(os.path.dirname(place) for place in places))
    names = []
    for folder in filter(os.path.isdir, folders):
        names.extend(name for name in os.listdir(folder) if name.endswith(".py"))
    folder, name = os.path.split(path)
    advice = did_you_mean(name, names, folder + "/" if folder else "")
    return 'no file "{}" in {}{}'.format(name, ", ".join(folders), advice)


def execute_file(path):
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(name_for_file(path), path)
    module = sys.modules[spec.name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def name_for_file(path):
    """The name by which an import finds that file too, else one that no import uses."""
    from importlib.util import find_spec

    stem = os.path.splitext(os.path.basename(path))[0]
    try:
        spec = find_spec(stem) if stem.isidentifier() else None
    except ValueError:  # a module of that name has no specification
        return path
    is_free = spec is None or (spec.origin is not None and os.path.realpath(spec.origin) == path)
    return stem if is_free and stem not in sys.modules else path


def did_you_mean(name, names, prefix=""):
    from difflib import get_close_matches

    return "".join('; did you mean "{}{}"?'.format(prefix, match) for match in get_close_matches(name, names, 1))


# ---- errors --------------------------------------------------------------------------------------------------------


def own_frames(traceback):
    """A traceback from the first frame on that is neither of this file nor of the import system."""
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if file != own_frames.__code__.co_filename and not file.startswith("<frozen importlib"):
            break
        traceback = traceback.tb_next
    return traceback


def describe(error):
    """The name of an exception's type, its text, and its traceback as lines."""
    name = type_name(type(error))
    try:
        text = clean(str(error))
    except BaseException as broken:
        text = "its text can't be had: __str__ raised {}".format(type_name(type(broken)))
    try:
        from traceback import format_exception

        lines = clean("".join(format_exception(type(error), error, own_frames(error.__traceback__))))
    except BaseException:
        lines = "{}: {}".format(name, text)
    return [name, text, lines.rstrip("\n").split("\n")]


def clean(text):
    """Text that is Unicode: Python's own may hold halves of characters."""
    return str.encode(text, "utf-8", "backslashreplace").decode()


# ---- running tasks -------------------------------------------------------------------------------------------------


def run(module, function, wants_mapping, positional, named):
    """Runs one task: the kind of the reply and what is in it."""
    global running, pending
    try:
        running = True
        if pending:
            raise NotStarted
        result = find_task(module, function)(*positional, **named)
        if not wants_mapping:
            result = {"return_value": result}
        elif type(result) is not dict:
            from collections.abc import Mapping

            if not isinstance(result, Mapping):
                running = False
                return NO_MAPPING, type_name(type(result))
            result = dict(result)
        running = False
        return RESULT, result
    except NotStarted:
        running = pending = False
        return NOT_STARTED, None
    except Missing as error:
        running = False
        return MISSING, clean(str(error))
    except BaseException as error:
        was_interrupted, running = not running, False
        leave_if_copy(error)
        return INTERRUPTED if was_interrupted else FAILED, describe(error)


def answer(request):
    """Runs the requested task and sends the reply."""
    try:
        kind, value = run(*loads(request))
    except KeyboardInterrupt as error:  # it came when the task had just failed
        kind, value = INTERRUPTED, describe(error)
    leave_if_copy(None)
    listen_for_interrupts()
    restore_output()
    try:
        message = encode(kind, value)
    except RecursionError:
        message = encode(TOO_DEEP, None)
    except Exception as error:  # a derived type misbehaved, or another thread changed the result meanwhile
        message = encode(FAILED, describe(error))
    send(message)


def leave_if_copy(error):
    """Ends a fork of this process that came back from a task: what it was for, it has done."""
    if os.getpid() == HOST:
        return
    code = 0
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    elif error is not None:
        sys.stderr.write("\n".join(describe(error)[2]) + "\n")
        code = 1
    flush()
    os._exit(code & 0xFF)


def serve():
    while True:
        request = receive()
        if request is None:
            return
        if request[0] != TASK:
            sys.exit("the worker sent a request of unknown kind {}".format(request[0]))
        answer(request[1:])


def prepare():
    """Makes this process what tasks expect, and their search path what the worker asked for."""
    if sys.path[:1] == [""]:  # the current folder, which `-c` puts there
        del sys.path[0]
    sys.path[:0] = SEARCH
    sys.argv[:] = [""]
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
    if sys.stderr is not None:
        import faulthandler

        faulthandler.enable()
    keep_output()
    listen_for_interrupts()
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [_signal.SIGINT])
    os.register_at_fork(after_in_child=close_channel_in_copy)


SEARCH = [os.path.abspath(folder) for folder in sys.argv[1:]]
BUFFER = memoryview(bytearray(64 * 1024))
CHANNEL = open_channel()
POLL = open_poll()
CHANNEL_FILE = (os.fstat(CHANNEL).st_dev, os.fstat(CHANNEL).st_ino)
prepare()
send(encode(READY, None))
serve()
