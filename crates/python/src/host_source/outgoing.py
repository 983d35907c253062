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


class Pieces(list):
    """What a pickler writes, as a file."""

    write = list.append


class Outgoing:
    """A result that was pickled: the pieces of the pickle; its long parts that these leave out, with their positions;
    those of the objects in it, which are pickles of their own; and the mappings that the reply will name."""

    def __init__(self, pieces, objects):
        self.pieces, self.objects, self.named = pieces, objects, []
        self.holes = take_long_parts(pieces)

    def has_long_parts(self):
        return bool(self.holes or self.objects)


def take_long_parts(pieces):
    """Takes the long parts out, and says where they were."""
    holes, at = [], 0
    if len(pieces) == 1:  # which is not only a part
        return holes
    kept, last = [], b""
    for piece in pieces:
        if len(piece) >= LEAST and announces(last, len(piece)):
            holes.append((at, piece))
        else:
            kept.append(piece)
            at += len(piece)
            last = piece
    pieces[:] = kept
    return holes


def announces(piece, length):
    """Whether a piece ends with the operation for a long part of this length, which so does not end with the piece."""
    return any(
        len(piece) >= size and piece[-size] in operations and int.from_bytes(piece[1 - size :], "little") == length
        for size, operations in LENGTHS
    )


def pickle_object(value, objects):
    """The pickle of an object, the positions in it of what it leaves out, and how many long parts it has, which are put
    behind `objects`: what it leaves out, then its buffers."""
    pieces, buffers = Pieces(), []

    def is_short(buffer):
        try:
            raw = buffer.raw()
        except BufferError:  # the pickler says what is wrong
            return True
        if raw.nbytes < LEAST:
            return True
        buffers.append(raw)
        return False

    Pickler(pieces, 5, buffer_callback=is_short).dump(value)
    holes = take_long_parts(pieces)
    if not (holes or buffers):
        return b"".join(pieces), (), 0
    objects += [part for _, part in holes] + buffers
    return b"".join(pieces), [position for position, _ in holes], len(holes) + len(buffers)
