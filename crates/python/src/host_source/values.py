"""Converts the results and exceptions of tasks to messages, and requests to arguments.

Plain values are pickled as they are, and the worker reads them. Every other object becomes a pickle inside the pickle,
which only the next Python task reads, with a type name, a text and, where its type derives from a plain type, a plain
view for readers outside of Python. Such an object is written as a call of `str`, which the worker recognises:
`str(codec, type_name, text, pickle[, first, count][, view])`. The numbers `first` and `count` name its out-of-band
buffers (`buffers.py`).
"""

import sys
from io import BytesIO

try:
    from _pickle import Pickler, Unpickler, dumps, loads  # the half of `pickle` that is not written in Python
except ImportError:
    from pickle import Pickler, Unpickler, dumps, loads

from _pushflow_finding import clean, load_file, loaded_files, own_frames, own_module, type_name
from _pushflow_outgoing import Outgoing, Pieces, pickle_object

# How many characters of an object's text are kept, and above how many elements an array is only described.
TEXT_LIMIT = 200
ARRAY_LIMIT = 20

# How many notes and causes of an exception are reported.
CHAIN_LIMIT = 20

# Types whose values are plain without a further check; this saves time for small results.
ATOMS = frozenset((type(None), bool, int, float, str))

# Plain types, and the conversion of values of derived types to them.
PLAIN = (
    (float, float.__float__),
    (int, int.__int__),
    (str, str.__str__),
    (bytes, lambda value: bytes.__getitem__(value, slice(None))),
    (list, list.copy),
    (tuple, lambda value: list(tuple.__iter__(value))),
    (dict, dict),
)


class NotPlain(Exception):
    """A value has no plain view."""


class Unpicklable(Exception):
    """A part of a result can't be pickled."""


class BadArgument(Exception):
    """An argument is missing, or a part of it can't be unpickled."""


class Wrapped(Exception):
    """A task's own exception, and the one that a library raised around it. `reported` has the type name and the text of
    an exception in yet another process, which the task's own exception only reports."""

    def __init__(self, own, wrapper, reported):
        super().__init__(own)
        self.own, self.wrapper, self.reported = own, wrapper, reported


class RemoteTraceback(Exception):
    """The traceback of an exception in the process that raised it: the cause of the exception here."""

    def __str__(self):
        return "\n" + "\n".join(self.args[0])


# ---- out -----------------------------------------------------------------------------------------------------------


class ResultPickler(Pickler):
    """Writes plain values as they are, and other objects as calls of `str`."""

    def reducer_override(self, value):
        if value is str or value is bytearray:  # the function of a call
            return NotImplemented
        name = type_name(type(value))
        codec, pickle, parts, text = pickled(value, name, self.objects)
        try:
            return str, (codec, name, "", pickle) + parts + (plain_view(value),)
        except (NotPlain, RecursionError):
            return str, (codec, name, text or text_of(value), pickle) + parts


def encode(value):
    """The pickle of a result, and its long buffers."""
    pieces = Pieces()
    pickler = ResultPickler(pieces, 4)
    pickler.objects = []
    pickler.dump(value)
    return Outgoing(pieces, pickler.objects)


def is_simple(result):
    return ATOMS.issuperset(map(type, result)) and ATOMS.issuperset(map(type, result.values()))


def pickled(value, name, objects):
    """The codec of an object, its pickle, the range of its own buffers in `objects`, and a text where its `repr` would
    take long."""
    try:
        first = len(objects)
        pickle, positions, count = pickle_object(value, objects)
    except Exception as error:
        reason = "{}: {}".format(type_name(type(error)), shown(error))
        raise Unpicklable("holds {} that can't be pickled ({})".format(with_article(name), reason)) from None
    file = file_of(value)
    if count:
        text = "<{} of {} bytes>".format(name, sum(map(len, objects[first:]))) if positions else ""
        return "pickle in parts", dumps((file, positions, pickle), 4), (first, count), text
    if file is None:
        return "pickle", pickle, (), ""
    return "pickle with file", dumps((file, pickle), 4), (), ""


def file_of(value):
    """The file that defines the type of a value, if another interpreter would not find the file by the module's
    name."""
    name = type(value).__module__
    return next((file for file, module in loaded_files.items() if module.__name__ == name), None)


def plain_view(value):
    """The plain value that readers outside of Python see for a value of a derived type."""
    kind = type(value)
    if kind in ATOMS or kind is bytes:
        return value
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, getattr(numpy, "generic", ())) and type(value.item()) is not kind:
        return plain_view(value.item())
    for plain, convert in PLAIN:
        if isinstance(value, plain):
            value = convert(value)
            break
    else:
        raise NotPlain
    kind = type(value)
    if kind is list and not ATOMS.issuperset(map(type, value)):
        return [plain_view(element) for element in value]
    if kind is dict and not (ATOMS.issuperset(map(type, value)) and ATOMS.issuperset(map(type, value.values()))):
        return {plain_view(key): plain_view(element) for key, element in value.items()}
    return value


def text_of(value):
    """A short text that stands for a value."""
    try:
        if getattr(value, "size", 0) > ARRAY_LIMIT and hasattr(value, "dtype") and hasattr(value, "shape"):
            return clean("<{} of {} {}>".format(type(value).__name__, value.dtype, value.shape))
        text = repr(value)
    except Exception as error:
        return "<{} whose repr raised {}>".format(type_name(type(value)), type_name(type(error)))
    return clean(text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "\u2026")


def entry_at_fault(result):
    """A sentence about the first entry of a result that can't be pickled."""
    for key, value in result.items():
        try:
            encode((key, value))
        except Unpicklable as error:
            return "the result's entry {} {}".format(quoted(key), error)
    return "the result can't be pickled"


def quoted(key):
    return '"{}"'.format(clean(str(key)))


def with_article(noun):
    return "{} {}".format("an" if noun[0] in "aeiouAEIOU" else "a", noun)


# ---- errors --------------------------------------------------------------------------------------------------------


def shown(error):
    """An exception's text."""
    try:
        return clean(str(error))
    except BaseException as broken:
        return "its text can't be had: __str__ raised {}".format(type_name(type(broken)))


def describe(error):
    """An exception as a list: its type name, its message, the lines of its traceback, its text as a value, its pickle
    or `None`, its notes, and its causes as pairs of a type name and a message."""
    around, reported = [], None
    if type(error) is Wrapped:
        around, reported, error = [error.wrapper], error.reported, error.own
    if reported is not None:
        around.append(error)
    name, text = reported or (type_name(type(error)), shown(error))
    lines = traceback_of(error)
    try:
        pickle = dumps(error, 5)
        if type(loads(pickle)) is not type(error):
            raise TypeError("what is unpickled is of another type")
        pickle = dumps((file_of(error), pickle, lines), 4)
    except BaseException as refusal:
        pickle = None
        lines.append("The exception can't be pickled ({}: {}).".format(type_name(type(refusal)), shown(refusal)))
    causes = [[type_name(type(cause)), shown(cause)] for cause in around + causes_of(error)]
    return [name, text, lines, text_of(error), pickle, notes_of(error), causes]


def notes_of(error):
    notes = getattr(error, "__notes__", None)
    return [clean(str(note)) for note in notes[:CHAIN_LIMIT]] if isinstance(notes, list) else []


def causes_of(error):
    """The exceptions from which this one was raised, or during whose handling, nearest first."""
    chain = [error]
    while len(chain) <= CHAIN_LIMIT:
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if error is None or isinstance(error, RemoteTraceback) or any(error is known for known in chain):
            break
        chain.append(error)
    return chain[1:]


def traceback_of(error):
    try:
        from traceback import format_exception

        text = "".join(format_exception(type(error), error, own_frames(error.__traceback__)))
        if sys.version_info < (3, 11):
            notes = getattr(error, "__notes__", None)
            text += "".join("{}\n".format(note) for note in notes) if isinstance(notes, list) else ""
        return clean(text).rstrip("\n").split("\n")
    except BaseException:
        return ["{}: {}".format(type_name(type(error)), shown(error))]


# ---- in ------------------------------------------------------------------------------------------------------------


class RequestUnpickler(Unpickler):
    """Reads requests with values that are not plain."""

    incoming = None

    def persistent_load(self, thing):
        if type(thing) is int:
            return self.incoming.bytes(thing)
        if len(thing) == 1:
            return self.incoming.bytearray(thing[0])
        place, codec, name, content = thing[:4]
        try:
            return revive(codec, content, thing[4:], self.incoming)
        except Exception as error:
            message = "the input {} holds {} that can't be unpickled here ({}: {})".format(
                quoted(place), with_article(name), type_name(type(error)), shown(error)
            )
            raise BadArgument(message) from None


def decode_with_objects(request, incoming=None):
    unpickler = RequestUnpickler(BytesIO(request))
    unpickler.incoming = incoming
    return unpickler.load()


def decode_with_buffers(arrived):
    """Decodes the value of `buffers.receive`, and closes its files."""
    incoming, request = arrived
    try:
        return decode_with_objects(request, incoming)
    finally:
        incoming.close()


def revive(codec, content, parts, incoming):
    """Unpickles an object that another interpreter has pickled."""
    if codec == "pickle in parts":
        file, positions, pickle = loads(content)
        if file is not None:
            load_file(file)
        return own_module("_pushflow_buffers").unpickle_object(pickle, positions, parts, incoming)
    if codec == "exception":
        file, pickle, lines = loads(content)
        error = load_beside(file, pickle)
        error.__cause__ = RemoteTraceback(lines)
        return error
    value = loads(content)
    if codec == "pickle":
        return value
    return load_beside(*value)


def load_beside(file, pickle):
    """Unpickles an object, after loading the file that defines its type."""
    if file is not None:
        load_file(file)
    return loads(pickle)
