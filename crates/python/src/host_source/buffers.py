"""Out-of-band buffers in shared memory: they do not go through the channel, and are copied only where that is needed.

An out-of-band buffer is the memory of an array, which protocol 5 of pickle hands over, or the content of a long
`bytes`, `bytearray` or `str`. The worker gives its place: a file, an offset and a length. The worker sends the files
over the channel when this process asks for them; they are closed after use.

Requests. A table at the beginning of a request lists its buffers, each with a number, the *token*. `bytes` are read
into an object of their own. Other buffers are mapped (`mapping.py`); the worker does not use their memory again as long
as the mapping lives. The tokens of buffers that are not used any more are released before the next reply.

Replies. A result is pickled to the end without its long buffers (`outgoing.py`). Then the worker is asked for memory
for all of them at once, they are written there, and the reply lists their places. A buffer of a request that the task
has not changed and returns is not written: the reply names its token. That token must not be released before the worker
has read the reply. Where several threads reply, each on a channel of its own, a thread keeps the mapping until its next
request.

Where memory, a file descriptor or `ctypes` is missing, buffers are sent in the message or copied, which is slower and
always possible.

Messages: FILES asks for the files of a request. FILES_LOST reports that they could not be taken; the worker then sends
the request again, all in one message. ROOM asks for memory and lists the lengths; the answer is a byte with the files,
and a message with the file number and the offset for each length. RELEASED and LONG precede a reply.
"""

import os
import sys
from io import BytesIO

try:
    from _pickle import Unpickler
except ImportError:
    from pickle import Unpickler

from _pushflow_finding import own_module
from _pushflow_outgoing import released

mapping = own_module("_pushflow_mapping")

# How many buffers of a reply are written into shared memory; further ones are sent in the message.
MOST_GRANTS = 1000

FILES, FILES_LOST, ROOM, RELEASED, LONG = b"FUWLX"

# The place of a buffer: in the message, in the granted memory with this number, or in the leased buffer with this
# token.
INLINE, IN_GRANT, AS_IT_CAME = 0, 1, 2
# The position of a buffer that an object refers to, and that so has no position in the pickle.
NOWHERE = 2**64 - 1

# The length in bytes from which `bytes` are read into large pages.
LARGE_PAGES = 4 << 20


def number(value):
    return value.to_bytes(8, "little")


def numbers(data):
    return [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)]


# ---- out -----------------------------------------------------------------------------------------------------------


def place(channel, outgoing):
    """Puts the long buffers of a reply into shared memory. Returns the table of their places, and the buffers that must
    be in the message. `outgoing` holds no buffer afterwards, so that their memory can be freed."""
    parts = [(NOWHERE, part) for part in outgoing.objects] + outgoing.left_out
    del outgoing.objects[:], outgoing.left_out[:]
    entries, inline = placed(channel, parts, outgoing.named)
    return [bytes([LONG]) + number(len(parts))] + entries + inline


def placed(channel, parts, named):
    """The entry of the table for each buffer, and the buffers that must be in the message."""
    entries, written, inline = [None] * len(parts), [], []
    for index, (position, part) in enumerate(parts):
        found = found_origin(part)
        if found is not None:
            named.append(found[0])
            entries[index] = entry(AS_IT_CAME, found[0].token, found[1], len(part), position)
        elif len(written) < MOST_GRANTS:
            written.append(index)
    if not write_into_grants(channel, [parts[index][1] for index in written]):
        written = []
    for grant, index in enumerate(written):
        position, part = parts[index]
        entries[index] = entry(IN_GRANT, grant, 0, len(part), position)
    for index, (position, part) in enumerate(parts):
        if entries[index] is None:
            entries[index] = entry(INLINE, 0, 0, len(part), position)
            inline.append(part)
    return entries, inline


def found_origin(part):
    try:
        return mapping.origin(part)
    except (ImportError, OSError):  # no ctypes, or no file descriptor left to import it
        return None


def entry(*fields):
    return b"".join(map(number, fields))


def write_into_grants(channel, parts):
    """Writes the buffers into granted memory; returns whether the worker had memory for all of them."""
    if not parts:
        return True
    channel.write([bytes([ROOM])] + [number(len(part)) for part in parts])
    files = receive_files(channel, len(parts))
    try:
        answer = channel.receive()
        if answer is None:
            sys.exit(1)  # the worker has ended
        places = numbers(bytes(answer[1:]))
        if len(places) != 2 * len(parts) or len(files) <= max(places[::2]):
            return False
        for part, file, offset in zip(parts, places[::2], places[1::2]):
            write_all(files[file], memoryview(part), offset)
        return True
    except OSError:
        return False
    finally:
        close_all(files)


def write_all(file, part, offset):
    done = 0
    while done < len(part):
        done += os.pwrite(file, part[done:], offset + done)


def with_released(pieces):
    """A reply, preceded by the released tokens."""
    tokens = []
    while released:
        tokens.append(number(released.pop()))
    return [bytes([RELEASED]) + number(len(tokens))] + tokens + pieces


# ---- in ------------------------------------------------------------------------------------------------------------


class Incoming:
    """The out-of-band buffers of a request, until `close`."""

    def __init__(self, table, files):
        self.table, self.files, self.mapped = table, files, set()

    def bytes(self, index):
        _, file, offset, length = self.table[index]
        if length < LARGE_PAGES:
            content = os.pread(self.files[file], length, offset)
            if len(content) != length:
                raise ValueError("the shared memory ends too early")
            return content
        try:
            content, view = mapping.unwritten_bytes(length)
        except (ImportError, OSError):
            return bytes(self.bytearray(index))
        self.read_into(index, view)
        return content

    def bytearray(self, index):
        content = bytearray(self.table[index][3])
        self.read_into(index, memoryview(content))
        return content

    def read_into(self, index, view):
        _, file, offset, _ = self.table[index]
        done = 0
        while done < len(view):
            count = os.preadv(self.files[file], [view[done:]], offset + done)
            if count == 0:
                raise ValueError("the shared memory ends too early")
            done += count

    def buffer(self, index):
        """A buffer that the task may write to."""
        token, file, offset, length = self.table[index]
        if offset % mapping.ALIGNMENT == 0 and token not in self.mapped:
            try:
                mapped = mapping.map_privately(self.files[file], offset, length, token)
                self.mapped.add(token)
                return mapped
            except (ImportError, OSError, ValueError, MemoryError):
                pass
        return self.bytearray(index)

    def close(self):
        close_all(self.files)
        released.extend(part[0] for part in self.table if part[0] not in self.mapped)


class OutOfBandBuffer:
    """An out-of-band buffer of an object."""

    def __init__(self, incoming, index):
        self.incoming, self.index = incoming, index
        self.length = incoming.table[index][3]

    def bytes(self):
        return self.incoming.bytes(self.index)

    def read_into(self, view):
        self.incoming.read_into(self.index, view)

    def buffer(self):
        return self.incoming.buffer(self.index)


class InlineBuffer:
    """A buffer that is in the request itself."""

    def __init__(self, content):
        self.content, self.length = content, len(content)

    def bytes(self):
        return self.content

    def read_into(self, view):
        view[:] = self.content

    def buffer(self):
        return bytearray(self.content)


def receive(channel, request):
    """The out-of-band buffers of a request, and the request behind their table. `None` when their files could not be
    taken; the worker then sends the request again."""
    count, most = numbers(bytes(request[:16]))
    end = 16 + 32 * count
    fields = numbers(bytes(request[16:end]))
    rest = bytes(request[end:])  # a copy, since the channel uses its memory again
    channel.write([bytes([FILES])])
    files = receive_files(channel, most)
    if len(files) < most:
        close_all(files)
        channel.write([bytes([FILES_LOST])])
        return None
    return Incoming([fields[at : at + 4] for at in range(0, len(fields), 4)], files), rest


def receive_files(channel, most):
    """The files that arrive with one byte; fewer when no file descriptor is left."""
    channel.wait()
    try:
        from _socket import CMSG_LEN, MSG_CMSG_CLOEXEC, socket
    except (ImportError, OSError):  # no file descriptor is left to import it
        if not channel.read(memoryview(bytearray(1))):
            sys.exit(1)
        return []
    connection = socket(fileno=channel.file)
    try:
        data, extra, _, _ = connection.recvmsg(1, CMSG_LEN(4 * most), MSG_CMSG_CLOEXEC)
    except ConnectionError:
        data, extra = b"", []
    finally:
        connection.detach()
    if not data:
        sys.exit(1)
    files = []
    for _level, _kind, content in extra:
        files += memoryview(content[: len(content) // 4 * 4]).cast("i").tolist()
    return files


def close_all(files):
    for file in files:
        os.close(file)


class PickleWithBuffers:
    """A file that reads a pickle with the buffers that the pickle leaves out."""

    def __init__(self, pickle, positions, parts):
        self.pickle = BytesIO(pickle)
        self.readline = self.pickle.readline
        self.left_out = list(zip(positions, parts))[::-1]

    def next_part(self, size):
        """The buffer that is left out at the present position, or `None`."""
        if not self.left_out or not size or self.pickle.tell() != self.left_out[-1][0]:
            return None
        part = self.left_out.pop()[1]
        if part.length != size:
            raise ValueError("a long part has {} bytes instead of {}".format(part.length, size))
        return part

    def read(self, size):
        part = self.next_part(size)
        return self.pickle.read(size) if part is None else part.bytes()

    def readinto(self, view):
        part = self.next_part(len(view))
        if part is None:
            return self.pickle.readinto(view)
        part.read_into(view)
        return len(view)


def unpickle_object(pickle, positions, parts, incoming):
    """Unpickles an object that `outgoing.py` has pickled. Each part is the number of an out-of-band buffer, or
    bytes."""
    parts = [OutOfBandBuffer(incoming, part) if type(part) is int else InlineBuffer(part) for part in parts]
    buffers = [part.buffer() for part in parts[len(positions) :]]
    return Unpickler(PickleWithBuffers(pickle, positions, parts), buffers=buffers).load()
