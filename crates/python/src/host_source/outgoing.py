"""Pickles results, and separates their long buffers, which are sent out of band (`buffers.py`).

The pickler hands over the buffers of arrays, and writes contents of 64 KiB and more as pieces of their own.

The interpreter writes the buffers into the slabs of its worker, and not into memory of its own that the worker would
take over: fresh memory costs four times as much as memory that was used before, and memory of its own would need a way
back to it through worker, scheduler, another worker and its interpreter. It writes with pwrite(2), which is faster than
a mapping made for the purpose, and leaves no range of a slab writable for stray pointers of the task.
"""

try:
    from _pickle import Pickler
except ImportError:
    from pickle import Pickler

# The length in bytes from which a buffer is sent out of band. The pickler writes no shorter `bytes` as a piece of its
# own.
OUT_OF_BAND_FROM = 64 * 1024

# The end of the piece before a long buffer: the size of the operation with the length, and the operations.
LENGTHS = ((5, b"BX"), (9, b"\x8e\x8d\x96"))

# The tokens to release with the next reply: the buffers of requests that this process does not use any more.
released = []


class Pieces(list):
    """A file that keeps each piece that a pickler writes."""

    write = list.append


class Outgoing:
    """A pickled result: `pieces` of the pickle; `left_out`, the long buffers that the pieces leave out, with their
    positions; `objects`, the long buffers of objects in it, which are pickles of their own; `named`, the mappings that
    the reply names."""

    def __init__(self, pieces, objects):
        self.pieces, self.objects, self.named = pieces, objects, []
        self.left_out = take_buffers(pieces)

    def has_buffers(self):
        return bool(self.left_out or self.objects)


def take_buffers(pieces):
    """Removes the long buffers from the pieces; returns them with their positions."""
    left_out, at = [], 0
    if len(pieces) == 1:  # a pickle in one piece has no long buffer
        return left_out
    kept, last = [], b""
    for piece in pieces:
        if len(piece) >= OUT_OF_BAND_FROM and announces(last, len(piece)):
            left_out.append((at, piece))
        else:
            kept.append(piece)
            at += len(piece)
            last = piece
    pieces[:] = kept
    return left_out


def announces(piece, length):
    """Whether a piece ends with the operation for bytes of this length, which are then the next piece."""
    return any(
        len(piece) >= size and piece[-size] in operations and int.from_bytes(piece[1 - size :], "little") == length
        for size, operations in LENGTHS
    )


def pickle_object(value, objects):
    """The pickle of an object, the positions at which it leaves out a buffer, and the number of its long buffers. These
    are appended to `objects`: first those that the pickle leaves out, then those that the pickler handed over."""
    pieces, buffers = Pieces(), []

    def is_short(buffer):
        try:
            raw = buffer.raw()
        except BufferError:  # the pickler raises the error
            return True
        if raw.nbytes < OUT_OF_BAND_FROM:
            return True
        buffers.append(raw)
        return False

    Pickler(pieces, 5, buffer_callback=is_short).dump(value)
    left_out = take_buffers(pieces)
    if not (left_out or buffers):
        return b"".join(pieces), (), 0
    objects += [part for _, part in left_out] + buffers
    return b"".join(pieces), [position for position, _ in left_out], len(left_out) + len(buffers)
