"""A stand-in for the test framework: what the test modules of ewoksppf use of it when they are imported."""

import contextlib
import types


def parametrize(names, values, **_):
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)

    def mark(function):
        rows = [value if len(names) > 1 else (value,) for value in values]
        before = getattr(function, "rows", [{}])
        function.rows = [{**dict(zip(names, row)), **old} for row in rows for old in before]
        return function

    return mark


def ignored(*arguments, **_):
    return arguments[0] if arguments and callable(arguments[0]) else lambda function: function


def param(*values, **_):
    return values


def raises(*_, **__):
    return contextlib.suppress(Exception)


fixture = skip = fail = ignored
mark = types.SimpleNamespace(parametrize=parametrize, skip=ignored, skipif=ignored, xfail=ignored)
