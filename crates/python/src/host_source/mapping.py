"""Private mappings of the buffers of arguments. A task's array uses the memory that another process has written, until
the task writes to it; then the kernel copies the page, and no other process sees the change.

The memory below a mapping does not change until its token is released (see `buffers.py`), which happens when the
mapping is deleted. A fork of this process may live longer, so before a fork every mapped page is copied.

A mapping keeps no file open: a task may hold any number of mappings, and may close any file. It is a `mmap` object,
whose end is the end of all views of it. The object is made without a file, and the slab is then mapped in its place,
since `mmap` itself keeps the file open before Python 3.13.

The kernel says whether an array was changed: a page of a private mapping that was written to is no longer a page of the
file. So no library needs to be asked.
"""

import os
import sys

from _pushflow_outgoing import released

# Weak references to the live mappings, by token.
mappings = {}

# An alignment that suffices for every element type of arrays.
ALIGNMENT = 16

MAP_FIXED = 0x10
MADV_HUGEPAGE, MADV_POPULATE_WRITE = 14, 23

# Flags in the highest byte of an entry of /proc/PID/pagemap: the page is present, belongs to a file, is swapped out.
PRESENT, OF_FILE, SWAPPED = 0x80, 0x20, 0x40
HIGHEST = 7 if sys.byteorder == "little" else 0

Mapped = None


def map_privately(file, offset, length, token):
    """A writable view of a part of a file. No other process sees what is written to it."""
    import mmap

    kind = Mapped or mapped_type()
    if offset + length > os.fstat(file).st_size:
        raise ValueError("the file is too short")
    within = offset % mmap.ALLOCATIONGRANULARITY
    start, size = offset - within, within + length
    if sys.version_info >= (3, 13):
        mapped = kind(file, size, flags=mmap.MAP_PRIVATE, offset=start, trackfd=False)
    else:
        # A mapping with a file would keep a copy of the file open. So it is made without one, and the file is mapped
        # over it.
        mapped = kind(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        put_file_below(mapped, file, start)
    mapped.within, mapped.token = within, token
    from _weakref import ref

    mappings[token] = ref(mapped)
    return memoryview(mapped)[within:]


def mapped_type():
    global Mapped
    from mmap import mmap

    class Mapped(mmap):
        token, within, is_own = None, 0, False

        def __del__(self, released=released, mappings=mappings):
            if self.token is not None:
                mappings.pop(self.token, None)
                released.append(self.token)

    os.register_at_fork(before=detach_all)
    return Mapped


def address_of(buffer):
    from ctypes import addressof, c_char

    return addressof(c_char.from_buffer(buffer))


def put_file_below(mapped, file, start):
    import ctypes
    from mmap import MAP_PRIVATE, PROT_READ, PROT_WRITE

    call = ctypes.CDLL(None, use_errno=True).mmap
    call.restype = ctypes.c_void_p
    call.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
    address = address_of(mapped)
    if call(address, len(mapped), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file, start) != address:
        raise OSError(ctypes.get_errno(), "mmap failed")


def detach_all():
    """Copies every mapped page into memory of this process."""
    for reference in list(mappings.values()):
        mapped = reference()
        if mapped is not None and not mapped.is_own:
            detach(mapped)
            mapped.is_own = True


def detach(mapped):
    from mmap import PAGESIZE

    try:
        mapped.madvise(MADV_POPULATE_WRITE)
    except OSError:  # Linux before 5.14
        for at in range(0, len(mapped), PAGESIZE):
            mapped[at] = mapped[at]


def origin(part):
    """The mapping that holds a buffer, and the offset of the buffer in it, if the task has not written to that part;
    else `None`."""
    if not mappings or type(part) is not memoryview or part.readonly:
        return None
    address = address_of(part)
    for reference in list(mappings.values()):
        mapped = reference()
        if mapped is None:
            continue
        offset = address - address_of(mapped) - mapped.within
        if 0 <= offset <= len(mapped) - mapped.within - len(part):
            return (mapped, offset) if is_unchanged(address, len(part)) else None
    return None


def is_unchanged(address, length):
    """Whether a private mapping still has the pages of the file there. A page that was written to is a copy."""
    from mmap import PAGESIZE

    first, last = address // PAGESIZE, (address + length - 1) // PAGESIZE
    try:
        file = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        entries = os.pread(file, 8 * (last - first + 1), 8 * first)
    except OSError:
        return False
    finally:
        os.close(file)
    if len(entries) != 8 * (last - first + 1):
        return False
    return not any(flags & SWAPPED or flags & (PRESENT | OF_FILE) == PRESENT for flags in set(entries[HIGHEST::8]))


def unwritten_bytes(length):
    """Uninitialised `bytes`, and a view by which they are written before anything reads them. They are in large pages
    where the kernel has such: fresh memory in small pages takes three times as long as the copy into it."""
    import ctypes
    from mmap import PAGESIZE

    make, address_in = ctypes.pythonapi.PyBytes_FromStringAndSize, ctypes.pythonapi.PyBytes_AsString
    make.restype, make.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_ssize_t)
    address_in.restype, address_in.argtypes = ctypes.c_void_p, (ctypes.py_object,)
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    content = make(None, length)
    address = address_in(content)
    start = -(-address // PAGESIZE) * PAGESIZE
    advise(start, (address + length - start) // PAGESIZE * PAGESIZE, MADV_HUGEPAGE)  # the kernel may refuse this
    return content, memoryview((ctypes.c_ubyte * length).from_address(address))
