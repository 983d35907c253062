"""Runs tasks as greenlets in an interpreter that gevent has patched: many at a time in the main thread, which has the
hub.

A thread that gevent does not know receives the orders, so that orders arrive while a task holds the interpreter. This
thread has the hub call functions, which start greenlets and raise `KeyboardInterrupt` in greenlets that wait. A
greenlet that holds the interpreter is interrupted by a signal. The handler runs in the current greenlet of the main
thread, and raises if that greenlet is to be interrupted. The signal is sent again until the exception was raised in one
way or the other. Both ways check `is_raised` in the thread in which the task runs, so that no exception is raised after
the task has settled.
"""

import os
import sys
from _thread import allocate_lock, get_ident, start_new_thread
from collections import deque
from select import POLLIN, poll  # before gevent replaces it

import _signal

from _pushflow_finding import clean, type_name
from _pushflow_host import Channel
from _pushflow_restoring import Restorer
from _pushflow_sharing import SharedServer, Switchboard

# The milliseconds after which the signal of an interrupt is sent to the main thread again.
REMINDER = 50

# The events of files for which the hub can wait.
READABLE, WRITABLE = 1, 2

# The end of the message of an interpreter without gevent.
ADVICE = """which Python tasks on the pool "gevent" need: install it with "{} -m pip install gevent", or choose another \
interpreter or pool"""


class GreenChannel(Channel):
    """A channel whose waits let other greenlets run."""

    ROOM = 4 * 1024

    def __init__(self, file, hub):
        super().__init__(file)
        os.set_blocking(file, False)
        self.hub, self.watchers = hub, {}

    def wait_for(self, event):
        if event not in self.watchers:
            self.watchers[event] = self.hub.loop.io(self.file, event)
        self.hub.wait(self.watchers[event])

    def wait(self):
        if not self.poll(0):
            self.wait_for(READABLE)

    def read(self, into):
        return self.try_until_ready(super().read, into, READABLE)

    def put(self, piece):
        return self.try_until_ready(super().put, piece, WRITABLE)

    def try_until_ready(self, attempt, memory, event):
        while True:
            try:
                return attempt(memory)
            except BlockingIOError:
                self.wait_for(event)

    def close(self):
        for watcher in self.watchers.values():
            watcher.close()
        super().close()


class GreenServer(SharedServer):
    """A server in a greenlet of its own."""

    def __init__(self, channel, board):
        super().__init__(channel, Restorer(False))
        self.board, self.greenlet = board, None

    def start(self, _number, leave):
        from gevent import spawn

        def start():
            self.greenlet = spawn(self.serve_and_leave, leave)
            self.greenlet.pushflow_server = self

        self.board.have_called(start)

    def serve_and_leave(self, leave):
        try:
            super().serve_and_leave(leave)
        except SystemExit:  # ends this server only: its channel is closed
            pass

    def raise_in_task(self):
        self.board.undelivered.append(self)
        self.board.have_called(self.throw)
        self.board.remind()

    def throw(self):
        """Called by the hub, so the greenlet waits at this moment."""
        if self.is_raised:
            self.is_raised = False
            self.greenlet.throw(KeyboardInterrupt)

    def awaited(self, result):
        """Runs a coroutine in a thread of its own, since a thread has one event loop of `asyncio` at a time."""
        from gevent.event import Event

        done = Event()
        coroutine = Coroutine(result, lambda: self.board.have_called(done.set))
        start_new_thread(coroutine.run, ())
        try:
            done.wait()
        except BaseException:
            coroutine.cancel()
            done.wait()
            raise
        return coroutine.result()


class Coroutine:
    """An awaitable that a thread of its own awaits, and that another thread can cancel."""

    def __init__(self, awaitable, done):
        self.awaitable, self.done, self.lock = awaitable, done, allocate_lock()
        self.loop = self.task = self.value = self.error = None
        self.is_cancelled = False

    def run(self):
        import asyncio
        from gevent import get_hub

        try:
            self.value = asyncio.run(self.wait())
        except BaseException as error:
            self.error = error
        get_hub().destroy(destroy_loop=True)  # the hub of this thread, which the waits of asyncio have made
        self.done()

    async def wait(self):
        import asyncio

        with self.lock:
            self.loop, self.task = asyncio.get_running_loop(), asyncio.current_task()
            if self.is_cancelled:
                self.task.cancel()
        try:
            return await self.awaitable
        finally:
            with self.lock:
                self.loop = None

    def cancel(self):
        with self.lock:
            self.is_cancelled = True
            if self.loop is not None:
                self.loop.call_soon_threadsafe(self.task.cancel)

    def result(self):
        if self.error is not None:
            raise self.error
        return self.value


class GreenBoard(Switchboard):
    """Receives orders in a thread, and hands them to the hub."""

    def __init__(self, file, hub):
        super().__init__(file)
        self.poll = poll()
        self.poll.register(file, POLLIN)
        self.calls, self.undelivered, self.main_thread = deque(), [], get_ident()
        self.bell = hub.loop.async_()
        self.bell.start(self.make_calls)
        _signal.signal(_signal.SIGINT, self.on_signal)

    def receive_orders(self, new_server):
        """Runs the thread. Without it the interpreter can't get orders, so its end ends the process."""
        try:
            self.serve(new_server)
        finally:
            os._exit(1)

    def have_called(self, function):
        self.calls.append(function)
        self.bell.send()

    def make_calls(self):
        while self.calls:
            self.calls.popleft()()

    def wait(self):
        while True:
            self.undelivered = [server for server in self.undelivered if server.is_raised]
            if self.poll.poll(REMINDER if self.undelivered else None):
                return
            self.remind()

    def remind(self):
        # A task may have installed a handler of its own, which must not get this signal.
        if _signal.getsignal(_signal.SIGINT) == self.on_signal:
            _signal.pthread_kill(self.main_thread, _signal.SIGINT)

    def on_signal(self, _number, _frame):
        from greenlet import getcurrent

        server = getattr(getcurrent(), "pushflow_server", None)
        if server is not None and server.is_raised:
            server.is_raised = False
            raise KeyboardInterrupt


def share(file):
    try:
        from gevent.monkey import patch_all

        patch_all()
    except Exception as error:
        is_missing = isinstance(error, ModuleNotFoundError) and error.name == "gevent"
        what = "has no gevent" if is_missing else "can't use gevent ({}: {})".format(type_name(type(error)), error)
        return Switchboard(file).refuse(clean("{}, {}".format(what, ADVICE.format(sys.executable))))
    from gevent import get_hub
    from gevent.lock import Semaphore

    # A greenlet that waits while it imports must not stop the others.
    sys.modules["_pushflow_importing"].importing = Semaphore()

    hub = get_hub()
    # By default gevent handles SIGCHLD from the first fork on, maybe after the end of that process; a wait for the
    # process would then never end.
    hub.loop.install_sigchld()
    board = GreenBoard(file, hub)
    copies = Copies()
    os.fork = copies.wrap(os.fork)
    start_new_thread(board.receive_orders, (lambda file: GreenServer(GreenChannel(file, hub), board),))
    copies.wait_for_ever()


class Copies:
    """Lets a fork of this process, such as `multiprocessing` makes, go on with the greenlet that forked and with no
    other one. The other greenlets run their tasks in this process.

    The hub of the copy is destroyed, with the loop that would wake the other greenlets; the first wait of the copy
    makes another hub. A hub that is destroyed switches to the main greenlet, which switches back to the greenlet that
    forked."""

    def __init__(self):
        self.forker = None

    def wrap(self, fork):
        def fork_alone():
            pid = fork()
            if pid == 0:
                self.leave_others()
            return pid

        return fork_alone

    def leave_others(self):
        from gevent import get_hub, getcurrent

        if getattr(getcurrent(), "parent", None) is not None:  # else this is the main greenlet, or another thread
            self.forker = getcurrent()
            get_hub().destroy(destroy_loop=True)

    def wait_for_ever(self):
        from gevent.event import Event
        from gevent.exceptions import LoopExit

        try:
            Event().wait()
        except LoopExit:
            if self.forker is None:
                raise
            self.forker.switch()
