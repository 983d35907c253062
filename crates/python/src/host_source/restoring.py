"""Restores the state of the process that a task may have changed, and tells libraries the name of the process."""

import os
import sys

import _signal
import _warnings

# Whether a function that may change this state was called since it was last restored.
touched = False


def watch(module, *names):
    """Replaces functions of a module by ones that set `touched`. To ask the system after each task would take too
    long."""
    for name in names:
        function = getattr(module, name, None)
        if function is not None and not hasattr(function, "is_watched"):
            replacement = watched(function)
            # Also in the public module that has copied the name.
            for place in (module, sys.modules.get(module.__name__.lstrip("_"))):
                if getattr(place, name, None) is function:
                    setattr(place, name, replacement)


def watched(function):
    def call(*positional, **named):
        global touched
        touched = True
        return function(*positional, **named)

    call.__name__ = call.__qualname__ = function.__name__
    call.__doc__ = function.__doc__
    call.is_watched = True
    return call


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # a task may have closed or replaced it
            pass


class Restorer:
    """Remembers the state of the process, and restores it."""

    def __init__(self, is_main_thread):
        global touched
        if is_main_thread:
            watch(_signal, "signal", "siginterrupt", "pthread_sigmask", "set_wakeup_fd", "alarm", "setitimer")
            watch(os, "close", "closerange", "dup2")
        touched = False
        self.is_main_thread = is_main_thread
        self.mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, [])
        self.handlers = {number: _signal.getsignal(number) for number in range(1, _signal.NSIG)}
        self.streams = sys.stdin, sys.stdout, sys.stderr
        self.files = [remembered(number) for number in range(3)] if is_main_thread else []
        self.forget_warnings = getattr(_warnings, "_filters_mutated", None)

    def restore(self):
        """Called after each task."""
        global touched
        if not self.is_main_thread:
            return
        if self.forget_warnings is not None:
            self.forget_warnings()  # the next task's warnings are its own
        stdin, stdout, stderr = self.streams
        are_open = not (stdout is None or stdout.closed or stderr is None or stderr.closed)
        if are_open and not touched:
            if sys.stdout is not stdout or sys.stderr is not stderr or sys.stdin is not stdin:
                flush()
                sys.stdin, sys.stdout, sys.stderr = self.streams
            return
        flush()
        self.restore_files()
        self.restore_signals()
        touched = False

    def forget_files(self):
        """Closes the copies of the standard files."""
        for copy, identity in self.files:
            if copy is not None and identity_of(copy) == identity:
                os.close(copy)
        self.files = []

    def restore_files(self):
        for number, (copy, identity) in enumerate(self.files):
            if copy is not None and identity_of(number) != identity and identity_of(copy) == identity:
                os.dup2(copy, number)
        if any(stream is not None and stream.closed for stream in self.streams):
            reopened = [reopen(stream, number) for number, stream in enumerate(self.streams)]
            self.streams = tuple(reopened)
        sys.stdin, sys.stdout, sys.stderr = self.streams

    def restore_signals(self):
        _signal.alarm(0)
        for timer in (_signal.ITIMER_REAL, _signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF):
            _signal.setitimer(timer, 0)
        _signal.set_wakeup_fd(-1)
        for number, handler in self.handlers.items():
            if handler is not None and _signal.getsignal(number) is not handler:
                _signal.signal(number, handler)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, self.mask)


def remembered(number):
    """A copy of a file, and the identity of the file; `None` for both if there is no such file."""
    identity = identity_of(number)
    return None if identity is None else copy_above(number), identity


def copy_above(file):
    """A copy of a file at a high descriptor, which tasks are unlikely to close. It is closed in programs."""
    import fcntl

    for lowest in (500, 100):
        try:
            return fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, lowest)
        except OSError:  # beyond the limit of this process
            continue
    return fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, 10)


def identity_of(file):
    try:
        status = os.fstat(file)
        return status.st_dev, status.st_ino
    except OSError:
        return None


def reopen(stream, number):
    if stream is None or not stream.closed:
        return stream
    if number == 0:
        return open(0, closefd=False)
    return open(number, "w", buffering=1, errors="backslashreplace", closefd=False)


# ---- the name of the process ---------------------------------------------------------------------------------------


def introduce(name, is_daemonic):
    """Sets, once `multiprocessing` or `billiard` is imported, the name of this process there and whether it is
    daemonic."""
    sys.meta_path.insert(0, Introduction(name, is_daemonic))


def rename(name):
    """Changes the name that `introduce` has set."""
    for finder in sys.meta_path:
        if isinstance(finder, Introduction):
            finder.name = name
    for module in Introduction.MODULES:
        if module in sys.modules:
            sys.modules[module].current_process()._name = name


class Introduction:
    """A finder that extends the import of the modules that know the current process. It leaves all other modules to the
    finders behind it."""

    MODULES = ("multiprocessing.process", "billiard.process")

    def __init__(self, name, is_daemonic):
        self.name, self.is_daemonic = name, is_daemonic

    def find_spec(self, module, path=None, _target=None):
        if module not in self.MODULES:
            return None
        for finder in sys.meta_path:
            spec = finder.find_spec(module, path) if finder is not self and hasattr(finder, "find_spec") else None
            if spec is not None:
                self.extend(spec.loader)
                return spec
        return None

    def extend(self, loader):
        execute = loader.exec_module

        def execute_and_tell(module):
            execute(module)
            process = module.current_process()
            process._config["daemon"] = self.is_daemonic
            process._name = self.name

        loader.exec_module = execute_and_tell
