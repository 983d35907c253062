"""Runs Python tasks for pushflow until the channel closes.

The channel is the standard input of this process. The arguments are the mode, the name of the process, whether it is
`daemonic` or `free`, and the folders to search for modules. The mode `own` runs one task after another, for a worker.
`threads` and `greenlets` run several tasks at a time, for a pool in the scheduler's process. With `warm`, forks of this
process run tasks; see `warm.py`.

A message on the channel is MAGIC, the length of the rest (8 bytes, little endian), one byte for the kind of message,
and a pickle. In a shared host, standard input carries only orders; see `Switchboard` in `sharing.py`.
"""

import os
import sys
from select import POLLIN, poll
from time import perf_counter

import _signal  # the half of `signal` that needs no enumerations, which would double the time of its import

from _pushflow_finding import SEARCH, Missing, clean, find_task, own_module, type_name
from _pushflow_importing import import_named
from _pushflow_outgoing import OUT_OF_BAND_FROM, released
from _pushflow_restoring import Restorer, copy_above, flush, identity_of
from _pushflow_values import (
    BadArgument,
    Unpicklable,
    decode_with_buffers,
    decode_with_objects,
    describe,
    dumps,
    encode,
    entry_at_fault,
    is_simple,
    loads,
    with_article,
)

MAGIC = b"pfpy"
HEADER = len(MAGIC) + 8

# The requests: a task with plain arguments, with objects among the arguments, and with out-of-band buffers
# (`buffers.py`).
TASK, TASK_WITH_OBJECTS, TASK_WITH_BUFFERS = b"TOS"
# The replies. STARTED, IMPORTING (a module) and READY are sent before the first request, and one of the others after
# each request. NOT_STARTED: an interrupt came before the task began.
STARTED, IMPORTING, READY = b"SJH"
RESULT, TOO_DEEP, FAILED, MISSING, INTERRUPTED, NOT_STARTED, BAD_RESULT, BAD_INPUT = b"RDEMINPB"

# The seconds for which a wait for the next request spins before it sleeps; waking up would take as long again.
SPIN = 50e-6

HOST = os.getpid()


class NotStarted(BaseException):
    """The interrupt came before the task began."""


class BadResult(Exception):
    """The value that the task returned can't be a result."""


# ---- the channel ---------------------------------------------------------------------------------------------------


def open_channel():
    """Moves the channel from standard input to a high descriptor, which tasks are unlikely to close. Standard input
    becomes empty."""
    channel = copy_above(0)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    return channel


class Channel:
    """Whole messages over a socket."""

    # The length in bytes of messages that fit into the buffer of the channel.
    ROOM = 64 * 1024

    def __init__(self, file):
        readable = poll()
        readable.register(file, POLLIN)
        self.file, self.poll, self.identity = file, readable.poll, identity_of(file)
        self.buffer = memoryview(bytearray(self.ROOM))

    def close_in_copy(self):
        """Closes the channel in a fork of this process, which must neither write to it nor keep it open."""
        if identity_of(self.file) == self.identity:
            os.close(self.file)

    def read(self, into):
        """Reads bytes; returns their number, which is 0 at the end of the channel, also after a kill of the worker."""
        try:
            return os.readv(self.file, [into])
        except ConnectionError:
            return 0

    def put(self, piece):
        return os.write(self.file, piece)

    def close(self):
        os.close(self.file)

    def wait(self):
        """Spins for a moment until there is something to read. The read that follows sleeps if there is nothing yet."""
        latest = perf_counter() + SPIN
        while not self.poll(0) and perf_counter() < latest:
            os.sched_yield()

    def receive(self):
        """The next message without its header, valid until the next call; `None` at the end of the channel."""
        message, filled = self.buffer, 0
        self.wait()
        while filled < HEADER:
            count = self.read(message[filled:])
            if count == 0:
                return None
            filled += count
        length = HEADER + int.from_bytes(message[len(MAGIC) : HEADER], "little")
        if length > len(message):
            message = memoryview(bytearray(length))
            message[:filled] = self.buffer[:filled]
        while filled < length:
            count = self.read(message[filled:length])
            if count == 0:
                return None
            filled += count
        return message[HEADER:length]

    def send(self, message):
        """Sends one message. Flushes the output of the task first, so that it precedes the result."""
        flush()
        self.write(message)

    def write(self, message):
        """Writes one message. It is complete bytes, or the pieces behind the header, of which no long one is copied."""
        if type(message) is not bytes:
            header = MAGIC + sum(map(len, message)).to_bytes(8, "little")
            short = sum(map(len, message)) < OUT_OF_BAND_FROM
            message = [header + b"".join(message)] if short else [header] + message
        else:
            message = (message,)
        try:
            for piece in message:
                sent = self.put(piece)
                while sent < len(piece):
                    sent += self.put(memoryview(piece)[sent:])
        except ConnectionError:  # the worker has closed the channel
            sys.exit(1)
        except OSError as error:
            sys.exit("a task broke the channel to the worker: {}".format(error))


def encoded(kind, value=None):
    """A reply as a message, or as an `Outgoing` if it has long buffers. A `value` of `None` is left out."""
    if kind == RESULT and is_simple(value):
        pickle = dumps(value, 4)
        if len(pickle) < OUT_OF_BAND_FROM:
            return MAGIC + (1 + len(pickle)).to_bytes(8, "little") + b"R" + pickle
    pieces = []
    if value is not None:
        outgoing = encode(value)
        if outgoing.has_buffers():
            return outgoing
        pieces = outgoing.pieces
    return b"".join([MAGIC, (1 + sum(map(len, pieces))).to_bytes(8, "little"), bytes([kind])] + pieces)


# ---- running tasks -------------------------------------------------------------------------------------------------


class Server:
    """Runs the tasks of one channel, one after another, in one thread."""

    def __init__(self, channel, restorer):
        self.channel, self.restorer = channel, restorer
        # Whether this is the only server of the process; and the mappings that the last reply named, see `buffers.py`.
        self.is_alone, self.named = False, None
        # Whether a task runs that was not interrupted yet. Only a task ever gets a KeyboardInterrupt, and it gets only
        # one.
        self.running = False
        # Whether an interrupt came while no task ran. It may be meant for the next task, whose request has not arrived
        # yet, or may be too late for the last task. The next request is answered with NOT_STARTED, and the worker knows
        # whether to send it again. A signal that was sent before a request sets this before that request is read.
        self.pending = False

    def on_interrupt(self, _number, _frame):
        if self.running:
            self.running = False
            raise KeyboardInterrupt
        self.pending = True

    def import_modules(self):
        """Imports the modules that tasks are known to need. Each import is announced, so that the worker can name it if
        this process ends. No reply releases tokens before the first request, although other servers may have left
        some."""
        self.channel.send(encoded(STARTED))
        import_named(lambda name: self.channel.send(encoded(IMPORTING, name)), leave_if_copy)
        self.restorer.restore()
        self.channel.send(encoded(READY))

    def serve(self):
        while True:
            request = self.channel.receive()
            if request is None:
                return
            self.named = None
            if request[0] == TASK:
                self.answer(loads, request[1:])
            elif request[0] == TASK_WITH_OBJECTS:
                self.answer(decode_with_objects, request[1:])
            elif request[0] == TASK_WITH_BUFFERS:
                arrived = own_module("_pushflow_buffers").receive(self.channel, request[1:])
                if arrived is not None:
                    self.answer(decode_with_buffers, arrived)
                    arrived = None
            else:
                sys.exit("the worker sent a request of unknown kind {}".format(request[0]))

    def answer(self, decode, request):
        """Runs the requested task and sends the reply."""
        try:
            arguments = decode(request)
        except Exception as error:
            reason = str(error) if isinstance(error, BadArgument) else "the inputs can't be read: {!r}".format(error)
            self.running = self.pending = False
            return self.reply(BAD_INPUT, encoded(BAD_INPUT, clean(reason)))
        try:
            kind, value = self.run(*arguments)
            self.settle()
        except KeyboardInterrupt as error:  # the interrupt came when the task had just failed
            kind, value = INTERRUPTED, describe(error)
        leave_if_copy(None)
        self.restorer.restore()
        try:
            message = encoded(kind, value)
        except RecursionError:
            kind, message = TOO_DEEP, encoded(TOO_DEEP)
        except Unpicklable:
            kind, message = BAD_RESULT, encoded(BAD_RESULT, entry_at_fault(value))
        except Exception as error:  # raised by a derived type, or by a change of the result in another thread
            kind, message = FAILED, encoded(FAILED, describe(error))
        arguments = value = None  # their tokens can then be released with the reply
        self.reply(kind, message)

    def reply(self, kind, message):
        if type(message) is not bytes:
            outgoing, message = message, [bytes([kind])] + message.pieces
            message = own_module("_pushflow_buffers").place(self.channel, outgoing) + message
            self.named, outgoing.named = None if self.is_alone else outgoing.named, None
        if released:
            pieces = message if type(message) is list else [message[HEADER:]]
            message = own_module("_pushflow_buffers").with_released(pieces)
        self.channel.send(message)

    def settle(self):
        """Makes sure that no interrupt of the last task is raised from here on."""

    def run(self, module, function, wants_mapping, positional, named, ewoks=None):
        """Runs one task; returns the kind of the reply and its value. `ewoks` has the further arguments of ewoks
        tasks."""
        try:
            self.running = True
            if self.pending:
                raise NotStarted
            if ewoks is None:
                task = find_task(module, function)
            else:
                task = own_module("_pushflow_ewoks").make_call(module, function, *ewoks)
            result = task(*positional, **named)
            if not wants_mapping or type(result) is not dict:
                result = self.checked(result, wants_mapping)
            self.running = False
            return RESULT, result
        except NotStarted:
            self.running = self.pending = False
            return NOT_STARTED, None
        except Missing as error:
            self.running = False
            return MISSING, clean(str(error))
        except BadArgument as error:
            self.running = False
            return BAD_INPUT, clean(str(error))
        except BadResult as error:
            self.running = False
            return BAD_RESULT, clean(str(error))
        except BaseException as error:
            was_interrupted, self.running = not self.running, False
            leave_if_copy(error)
            return INTERRUPTED if was_interrupted else FAILED, describe(error)

    def checked(self, result, wants_mapping):
        """The value that a task returned as a dict. A coroutine is awaited first."""
        if hasattr(type(result), "__await__"):
            result = self.awaited(result)
        name = type_name(type(result))
        if name in ("generator", "async_generator"):
            advice = "which can't leave its process: return a list of what it yields"
            raise BadResult("the task returned {}, {}".format(with_article(name), advice))
        if not wants_mapping:
            return {"return_value": result}
        from collections.abc import Mapping

        if not isinstance(result, Mapping):
            noun = "None" if result is None else with_article(name)
            raise BadResult("the task returned {}, but a mapping of names to values is expected".format(noun))
        return dict(result)

    def awaited(self, result):
        import asyncio

        async def wait():
            return await result

        return asyncio.run(wait())


def leave_if_copy(error):
    """Ends this process if it is a fork that returned from a task or an import: it has done its work."""
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


# ---- the start -----------------------------------------------------------------------------------------------------


def prepare(name, is_daemonic):
    """Sets up this process as tasks expect it."""
    from _pushflow_restoring import introduce

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
    introduce(name, is_daemonic)


def main(mode, name, class_name, *folders):
    global HOST
    SEARCH[:] = [os.path.abspath(folder) for folder in folders]
    prepare(name, class_name == "daemonic")
    if mode == "warm":
        own_module("_pushflow_warm").become_host(encoded(STARTED), lambda name: encoded(IMPORTING, name), leave_if_copy)
        HOST = os.getpid()
    channel = Channel(open_channel())
    os.register_at_fork(after_in_child=channel.close_in_copy)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [_signal.SIGINT])
    if mode in ("threads", "greenlets"):
        own_module("_pushflow_sharing")
        return own_module("_pushflow_" + mode).share(channel.file)
    server = Server(channel, None)
    server.is_alone = True
    _signal.signal(_signal.SIGINT, server.on_interrupt)
    server.restorer = Restorer(True)
    if mode == "warm":
        channel.send(encoded(READY))
    else:
        server.import_modules()
    server.serve()


main(*ARGUMENTS)  # noqa: F821 (the loader sets it)
