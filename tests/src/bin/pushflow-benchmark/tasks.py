"""The tasks of the benchmark in Python."""


def identity(x):
    return {"x": x}


def add_one(value=0, **_):
    return {"value": value + 1}


def check(value=0, limit=0, **_):
    return {"again": value < limit}


def copy(blob=b"", **_):
    return {"blob": bytes(memoryview(blob))}
