"""The tasks of the numpy example: a stack of detector images with one bright spot, its background, and where the spot is."""

import numpy


def measure(seed=1, frames=32, size=128):
    """A stack of images: noise on an uneven background, and in every fourth one a spot."""
    random = numpy.random.default_rng(seed)
    rows, columns = numpy.mgrid[:size, :size]
    stack = random.poisson(20 + rows / 4, size=(frames, size, size)).astype(numpy.int64)
    row, column = random.integers(8, size - 8, size=2)
    spot = 400 * numpy.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 8)
    stack[::4] += spot.astype(numpy.int64)
    return stack


def background(stack):
    """What each pixel shows without the spot."""
    return numpy.median(stack, axis=0)


def brightness(stack):
    """How much light is in each image."""
    return stack.sum(axis=(1, 2))


def find_spot(stack, background, brightness):
    """Where the spot is, from the images that are brighter than the others."""
    with_spot = stack[brightness > brightness.mean()]
    signal = with_spot.mean(axis=0) - background
    row, column = numpy.unravel_index(signal.argmax(), signal.shape)
    return {"row": int(row), "column": int(column), "images": len(with_spot)}
