"""Runs several tasks at a time in one interpreter: each in a server with a channel of its own. The servers are threads
(`threads.py`) or greenlets (`greenlets.py`)."""

import os
import sys
from _thread import allocate_lock
from array import array

from _pushflow_host import Channel, Server, encoded
from _pushflow_restoring import copy_above, flush

# The length of an order in bytes.
ORDER = 17

# The reply of an interpreter that can't run tasks; the pickle is the reason.
UNUSABLE = ord("V")


class SharedServer(Server):
    """A server beside others. Another thread interrupts it, maybe when the attempt has just ended. `raise_in_task` has
    the exception raised in the server; `call_back` cancels it where the task has ended before the exception was
    raised."""

    def __init__(self, channel, restorer):
        super().__init__(channel, restorer)
        self.lock, self.is_raised = allocate_lock(), False
        # The number of the last request, and of the request that the last interrupt named, which may not have arrived
        # yet.
        self.attempt = self.interrupted = 0

    def interrupt(self, attempt):
        """Called by another thread, maybe after the attempt has ended."""
        with self.lock:
            self.interrupted = attempt
            if attempt == self.attempt and self.running:
                self.running, self.is_raised = False, True
                self.raise_in_task()
            else:
                self.pending = attempt == self.attempt

    def answer(self, decode, request):
        with self.lock:
            self.attempt += 1
            self.pending = self.interrupted == self.attempt
        super().answer(decode, request)

    def settle(self):
        with self.lock:
            if self.is_raised:
                self.is_raised = False
                self.call_back()

    def call_back(self):
        """Does nothing in servers that raise the exception only while `is_raised` is set."""

    def serve_and_leave(self, leave):
        try:
            self.import_modules()
            self.serve()
        finally:
            leave()
            self.channel.close()


def moved_above(file):
    """Moves a file to a high descriptor, since tasks may close low ones."""
    above = copy_above(file)
    os.close(file)
    return above


class Switchboard:
    """Receives orders. An order is a byte and two numbers (8 bytes each, little endian). `C`, with a file, starts the
    server with the first number on that channel; `I` interrupts the attempt with the second number in that server."""

    def __init__(self, file):
        from _socket import socket

        self.socket, self.servers = socket(fileno=file), {}
        os.register_at_fork(after_in_child=self.close_in_copy)

    def close_in_copy(self):
        for server in self.servers.values():
            server.channel.close_in_copy()

    def wait(self):
        """Called before each order is read."""

    def next_order(self):
        from _socket import CMSG_LEN, MSG_CMSG_CLOEXEC

        order, files = b"", array("i")
        while len(order) < ORDER:
            self.wait()
            try:
                data, extra, _, _ = self.socket.recvmsg(ORDER - len(order), CMSG_LEN(4), MSG_CMSG_CLOEXEC)
            except ConnectionError:
                data, extra = b"", []
            if not data:  # the pool was dropped; tasks that still run end with this process
                flush()
                os._exit(0)
            order += data
            for _level, _kind, content in extra:
                files.frombytes(content)
        if order[:1] == b"C" and not files:
            sys.stderr.write("no file descriptor is left for another task (ulimit -n)\n")
            os._exit(1)
        files = [moved_above(file) for file in files]
        return order[:1], int.from_bytes(order[1:9], "little"), int.from_bytes(order[9:], "little"), files

    def serve(self, new_server):
        while True:
            kind, number, attempt, files = self.next_order()
            if kind == b"C":
                server = self.servers[number] = new_server(files[0])
                server.start(number, lambda number=number: self.servers.pop(number, None))
            elif number in self.servers:
                self.servers[number].interrupt(attempt)

    def refuse(self, reason):
        """Sends the reason why this interpreter can't run tasks on the first channel, and ends the process."""
        _kind, _number, _attempt, files = self.next_order()
        Channel(files[0]).put(encoded(UNUSABLE, reason))
        sys.exit(1)
