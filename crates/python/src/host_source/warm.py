"""A warm interpreter: it has imported what tasks need, and makes hosts of copies of itself.

The guardian starts it as its own child, and asks it for hosts over a socket, file 3. An order has one file, where the
keeper of the new host reports, and texts, each ended by a zero byte: the program of keepers, and the name of the host
for `multiprocessing`. Often it is for a host that is made in advance.

1. The first order is there before the first import. It has one more file, the channel of its host: that hears at once
   that an interpreter runs, and what it imports. What the imports print goes where that host prints. After the imports
   this process prints to nowhere.
2. When all is imported it says WARM. With more than one thread it leaves instead: threads do not survive a fork.
3. For each order it makes a copy that is a child of the guardian, not its own (CLONE_PARENT): the keeper. That says its
   pid where it reports, forks the host, and executes the program of keepers, of which the host is a child then.
4. The host waits, on the same socket, for its standard input (the channel), output and error, its name, and the pid of
   its worker: until then it has nothing of a worker's. If the guardian has given the order up, or is gone, the host sees
   the end of that socket, and leaves.

The first copy is made by the bare system call, without Python's or the C library's handlers: it is a copy of one thread
that holds no lock, and lives for a moment. The second is an ordinary `os.fork()`, so that handlers run once for each
host. All signals are blocked from the last import until a host is ready for them, and always in keepers.
"""

import os
import sys

import _signal

from _pushflow_importing import import_named
from _pushflow_restoring import Restorer, copy_above, flush, identity_of, rename

ORDERS = 3
WARM = b"w"
WORKER_PID = b"PUSHFLOW_WORKER_PID"
KEEPER_NAME = b"pushflow-keep"

# `clone(2)` has no wrapper that comes without a stack of its own; the number of the call differs between machines.
SYSTEM_CALLS = {"x86_64": 56, "aarch64": 220, "riscv64": 220, "loongarch64": 220, "ppc64le": 120, "ppc64": 120}
CLONE_PARENT = 0x8000
SET_DEATH_SIGNAL, SET_NAME, SET_SUBREAPER = 1, 15, 36


class Library:
    """The C library's calls that Python has not."""

    def __init__(self):
        import ctypes

        # Not CDLL, which lets go of the interpreter's lock around each call.
        library = ctypes.PyDLL(None)
        self.number = SYSTEM_CALLS[os.uname().machine]
        self.syscall, self.prctl, self.fflush = library.syscall, library.prctl, library.fflush
        self.syscall.restype = ctypes.c_long
        self.syscall.argtypes = [ctypes.c_long] * 6
        self.name_type = ctypes.c_char_p

    def copy_for_parent(self):
        """0 in the copy, a negative number if there is none."""
        return self.syscall(self.number, CLONE_PARENT, 0, 0, 0, 0)

    def rename(self, name):
        self.prctl(SET_NAME, self.name_type(name), 0, 0, 0)

    def die_with(self, parent):
        """Ends this process when its parent does, which it may have done already."""
        self.prctl(SET_DEATH_SIGNAL, int(_signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def receive(socket):
    """The texts and files of a message; ends the process at the end of the socket."""
    from array import array
    from _socket import CMSG_SPACE, MSG_CMSG_CLOEXEC

    texts, extra, _, _ = socket.recvmsg(65536, CMSG_SPACE(16), MSG_CMSG_CLOEXEC)
    if not texts:
        os._exit(0)
    files = array("i")
    for _level, _kind, content in extra:
        files.frombytes(content)
    return texts.split(b"\0"), list(files)


def become_host(started, importing, leave_if_copy):
    """Serves orders, and returns in each host, with its files at 0, 1 and 2. The first channel gets the messages
    `started` and, for each module, `importing(name)`; `leave_if_copy` ends a fork that comes back from an import."""
    try:
        warm = Interpreter()
    except (ImportError, KeyError, OSError):  # no ctypes, an unknown machine, no files left: there is no warm one
        os._exit(0)
    (keeper, name, *_), (reports, channel) = receive(warm.socket)
    rename(name.decode(errors="replace"))
    channel = Announcements(channel)
    channel.write(started)
    warm.import_modules(lambda module: channel.write(importing(module)), leave_if_copy)
    channel.close()
    warm.say_warm()
    while not warm.is_copied(keeper, reports):
        os.close(reports)
        (keeper, *_), (reports, *others) = receive(warm.socket)
        for channel in others:
            os.close(channel)


class Announcements:
    """The first channel, until the first host has it. Nobody may be there who reads it; an import may have closed it."""

    def __init__(self, file):
        self.file, self.identity = file, identity_of(file)

    def write(self, message):
        if identity_of(self.file) == self.identity:
            try:
                os.write(self.file, message)
            except OSError:  # the order has been given up
                pass

    def close(self):
        if identity_of(self.file) == self.identity:
            os.close(self.file)


class Interpreter:
    """The warm process."""

    def __init__(self):
        from _socket import socket

        self.guardian, self.library = os.getppid(), Library()
        self.name = name_of_process()
        self.socket = socket(fileno=copy_above(ORDERS))
        os.close(ORDERS)
        self.null = os.open(os.devnull, os.O_RDWR)
        os.dup2(self.null, 0)
        self.library.prctl(SET_SUBREAPER, 1, 0, 0, 0)

    def import_modules(self, announce, leave_if_copy):
        # As in a host whose task is not running.
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [_signal.SIGINT])
        _signal.signal(_signal.SIGINT, lambda _number, _frame: None)
        restorer = Restorer(True)
        import_named(announce, leave_if_copy)
        restorer.restore()
        restorer.forget_files()

    def say_warm(self):
        import gc
        import select  # noqa: F401 (each host needs it, and loading it takes longer than everything else that a host does)

        _signal.pthread_sigmask(_signal.SIG_SETMASK, _signal.valid_signals())
        flush()
        self.library.fflush(None)
        os.dup2(self.null, 1)
        os.dup2(self.null, 2)
        os.close(self.null)
        self.environment = dict(os.environb)
        self.environment[b"PUSHFLOW_ROLE"] = b"keeper"
        gc.freeze()  # a collection in a host would else copy every page that objects are on
        self.leave_if_threads()
        self.socket.send(WARM)

    def leave_if_threads(self):
        if len(os.listdir("/proc/self/task")) > 1:
            os._exit(0)

    def is_copied(self, program, reports):
        """Makes a host: true in the host, false here."""
        self.leave_if_threads()
        if self.library.copy_for_parent() != 0:
            return False
        try:
            return self.keep(program, reports)
        except BaseException:
            os._exit(1)

    def keep(self, program, reports):
        """What the first copy does: true in the second one."""
        self.library.die_with(self.guardian)
        os.setpgid(0, os.getpgid(self.guardian))
        self.library.rename(KEEPER_NAME)
        self.library.prctl(SET_SUBREAPER, 1, 0, 0, 0)
        keeper = os.getpid()
        os.write(reports, keeper.to_bytes(4, "little"))
        try:
            host = os.fork()
        except OSError as error:
            host = -error.errno
        if host == 0:
            self.begin(reports, keeper)
            return True
        os.dup2(reports, 0)
        arguments = [KEEPER_NAME, b"%d" % self.guardian, b"%d" % host]
        os.execve(program, arguments, self.environment)

    def begin(self, reports, keeper):
        """What the second copy does before it is a host like any other."""
        self.library.die_with(keeper)
        os.setpgid(0, 0)
        self.library.rename(self.name)
        self.socket.close()
        new_random_numbers()
        guardian = type(self.socket)(fileno=reports)
        (name, worker, *_), files = receive(guardian)
        guardian.close()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        if worker:
            os.environb[WORKER_PID] = worker
        rename(name.decode(errors="replace"))
        skip_source()
        _signal.pthread_sigmask(_signal.SIG_SETMASK, [])


def name_of_process():
    with open("/proc/self/comm", "rb") as file:
        return file.read().rstrip(b"\n")


def skip_source():
    """The worker sends it in any case, since an interpreter that is no copy needs it."""
    left = int.from_bytes(os.read(0, 8), "little")
    while left > 0:
        left -= len(os.read(0, left)) or os._exit(1)


def new_random_numbers():
    """Hosts must not draw the same numbers. `random` has seen to itself after the fork."""
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()
