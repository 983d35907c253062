"""Runs tasks in threads: the servers of an interpreter that the threads of a pool share."""

import _signal

from _pushflow_host import Channel
from _pushflow_restoring import Restorer
from _pushflow_sharing import SharedServer, Switchboard


class ThreadServer(SharedServer):
    """A server in a thread of its own. To interrupt it, another thread has CPython raise an exception in it. CPython
    does so between two instructions, so a blocking call such as `time.sleep` ends first."""

    def __init__(self, file):
        super().__init__(Channel(file), Restorer(False))
        self.thread = None

    def start(self, number, leave):
        from threading import Thread

        name = "pushflow-{}".format(number)
        Thread(target=self.serve_and_leave, args=(leave,), name=name, daemon=True).start()

    def serve_and_leave(self, leave):
        from threading import get_ident

        self.thread = get_ident()
        super().serve_and_leave(leave)

    def raise_in_task(self):
        raise_in_thread(self.thread, KeyboardInterrupt)

    def call_back(self):
        raise_in_thread(self.thread, None)


def raise_in_thread(thread, exception):
    """Has CPython raise an exception in a thread; with `None`, cancels an exception that was not raised yet."""
    import ctypes

    argument = ctypes.py_object() if exception is None else ctypes.py_object(exception)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), argument)


def share(file):
    # An empty handler instead of SIG_IGN, which programs that tasks start would inherit.
    _signal.signal(_signal.SIGINT, lambda _number, _frame: None)
    Switchboard(file).serve(ThreadServer)
