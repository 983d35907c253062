"""What a pickler writes, without its long parts, which travel on a way of their own (`buffers.py`).

The pickler hands over the buffers of arrays by itself, and writes the content of what has 64 KiB as a piece of its own.
"""

try:
    from _pickle import Pickler
except ImportError:
    from pickle import Pickler

# From how many bytes on a part is long. The pickler does not hand over on their own `bytes` that have less.
LEAST = 64 * 1024

# What is at the end of what the pickler writes before a long part: an operation, and the length of the part.
LENGTHS = ((5, b"BX"), (9, b"\x8e\x8d\x96"))

# The tokens that are to be told with the next reply: of long parts of requests that nobody needs any more.
released = []


class Outgoing:
    """What a pickler writes, without its long parts."""

    def __init__(self):
        self.pieces, self.size = [], 0
        # What the pickle leaves out, with the positions; the buffers that it names; those of the objects in it, which
        # are pickles of their own.
        self.holes, self.buffers, self.objects = [], [], []
        # The mappings that the reply names.
        self.named = []

    def write(self, chunk):
        if len(chunk) >= LEAST and self.pieces and announces(self.pieces[-1], len(chunk)):
            self.holes.append((self.size, chunk))
        else:
            self.pieces.append(chunk)
            self.size += len(chunk)

    def has_long_parts(self):
        return bool(self.holes or self.objects)

    def take(self, buffer):
        """Looks at a buffer that the pickler hands over: whether it is to be in the pickle."""
        try:
            raw = buffer.raw()
        except BufferError:
            return True
        if raw.nbytes < LEAST:
            return True
        self.buffers.append(raw)
        return False


def announces(chunk, length):
    """Whether a piece ends with the operation for a long part of this length, which so does not end with the piece."""
    return any(
        len(chunk) >= size and chunk[-size] in operations and int.from_bytes(chunk[1 - size :], "little") == length
        for size, operations in LENGTHS
    )


def pickle_object(value, outgoing):
    """The pickle of an object, the positions in it of what it leaves out, the number of its first long part among those
    of `outgoing`, and how many there are: what it leaves out, then its buffers."""
    own = Outgoing()
    Pickler(own, 5, buffer_callback=own.take).dump(value)
    first = len(outgoing.objects)
    outgoing.objects += [part for _, part in own.holes] + own.buffers
    positions = [position for position, _ in own.holes]
    return b"".join(own.pieces), positions, first, len(outgoing.objects) - first
