"""The tasks of the loop example: one counts, one says whether to go on."""


def add(value, **kwargs):
    return {"value": value + 1}


def check(value, limit, **kwargs):
    return {"again": value < limit}
