"""A warm interpreter: it has imported the modules of the tasks, and forks hosts from itself.

The guardian starts the warm interpreter as its own child, and orders hosts over a socket, file 3. An order has one
file, on which the keeper of the new host reports, and texts that each end with a zero byte: the program of keepers, and
the name of the host for `multiprocessing`. Often the guardian orders a host in advance.

1. The first order arrives before the first import. It has one more file, the channel of its host. On this channel the
   interpreter reports at once that it runs, and what it imports. The imports print where that host prints. After the
   imports this process prints to `/dev/null`.
2. When all modules are imported, the interpreter sends WARM. If it has more than one thread it ends instead, since
   threads do not survive a fork.
3. For each order it makes a copy that is a child of the guardian and not its own (CLONE_PARENT): the keeper. The keeper
   reports its pid, forks the host, and executes the program of keepers. The host is then a child of that program.
4. The host waits, on the file of the reports, for its standard input (the channel), output and error, its name, and the
   pid of its worker. Until then it has nothing of a worker. If the guardian has given up the order or has ended, the
   host sees the end of that file, and ends.

The keeper is made by the bare system call, without the handlers of Python or the C library: it is a copy of one thread
that holds no lock, and it soon executes a program. The host is made by an ordinary `os.fork()`, so that handlers run
once for each host. All signals are blocked from the last import until a host is ready for them, and always in keepers.
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

# The wrapper of `clone(2)` needs a stack, so the bare call is used. Its number differs between machines.
SYSTEM_CALLS = {"x86_64": 56, "aarch64": 220, "riscv64": 220, "loongarch64": 220, "ppc64le": 120, "ppc64": 120}
CLONE_PARENT = 0x8000
SET_DEATH_SIGNAL, SET_NAME, SET_SUBREAPER = 1, 15, 36


class Library:
    """Calls of the C library that Python lacks."""

    def __init__(self):
        import ctypes

        # PyDLL and not CDLL, which releases the interpreter's lock around each call.
        library = ctypes.PyDLL(None)
        self.number = SYSTEM_CALLS[os.uname().machine]
        self.syscall, self.prctl, self.fflush = library.syscall, library.prctl, library.fflush
        self.syscall.restype = ctypes.c_long
        self.syscall.argtypes = [ctypes.c_long] * 6
        self.name_type = ctypes.c_char_p

    def copy_for_parent(self):
        """Copies this process as a child of its parent; returns 0 in the copy, and a negative number on failure."""
        return self.syscall(self.number, CLONE_PARENT, 0, 0, 0, 0)

    def rename(self, name):
        self.prctl(SET_NAME, self.name_type(name), 0, 0, 0)

    def die_with(self, parent):
        """Has the kernel end this process with its parent; ends it now if the parent has ended already."""
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
    """Serves orders, and returns in each host, with the files of the host at 0, 1 and 2. The first channel gets the
    message `started` and, for each module, `importing(name)`. `leave_if_copy` ends a fork that returns from an
    import."""
    try:
        warm = Interpreter()
    except (ImportError, KeyError, OSError):  # no ctypes, an unknown machine, or no files left
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
    """The first channel, until the first host gets it. Its reader may have ended, and an import may have closed it."""

    def __init__(self, file):
        self.file, self.identity = file, identity_of(file)

    def write(self, message):
        if identity_of(self.file) == self.identity:
            try:
                os.write(self.file, message)
            except OSError:  # the guardian has given up the order
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
        # The same state of SIGINT as in a host that runs no task.
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, [_signal.SIGINT])
        _signal.signal(_signal.SIGINT, lambda _number, _frame: None)
        restorer = Restorer(True)
        import_named(announce, leave_if_copy)
        restorer.restore()
        restorer.forget_files()

    def say_warm(self):
        import gc
        import select  # noqa: F401 (each host needs it, and its import takes longer than the rest of a host's start)

        _signal.pthread_sigmask(_signal.SIG_SETMASK, _signal.valid_signals())
        flush()
        self.library.fflush(None)
        os.dup2(self.null, 1)
        os.dup2(self.null, 2)
        os.close(self.null)
        self.environment = dict(os.environb)
        self.environment[b"PUSHFLOW_ROLE"] = b"keeper"
        gc.freeze()  # otherwise a collection in a host would copy every page that holds objects
        self.leave_if_threads()
        self.socket.send(WARM)

    def leave_if_threads(self):
        if len(os.listdir("/proc/self/task")) > 1:
            os._exit(0)

    def is_copied(self, program, reports):
        """Makes a host; returns true in the host and false in this process."""
        self.leave_if_threads()
        if self.library.copy_for_parent() != 0:
            return False
        try:
            return self.keep(program, reports)
        except BaseException:
            os._exit(1)

    def keep(self, program, reports):
        """Runs in the keeper: forks the host, in which it returns true, and executes the program of keepers."""
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
        """Runs in the host before it serves like any other host."""
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
    """Reads the source, which this process has already. The worker sends it to every interpreter."""
    left = int.from_bytes(os.read(0, 8), "little")
    while left > 0:
        left -= len(os.read(0, left)) or os._exit(1)


def new_random_numbers():
    """Seeds numpy, so that hosts do not draw the same numbers. The module `random` seeds itself after a fork."""
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()
