"""Imports the modules that the graph names, before the first task needs them.

An import that fails is no failure here: the task that needs the module tries again, and fails with the error itself.
"""

import sys
from _thread import allocate_lock

from _pushflow_finding import load_file
from _pushflow_modules import NAMES

# Threads of one interpreter import one after the other: whoever comes second finds what the first has imported.
importing = allocate_lock()


def import_named(announce, after_each):
    """Announces and imports each module that a task needs; what it raised goes to `after_each`."""
    for module, function in zip(NAMES[::2], NAMES[1::2]):
        after_each(try_import(module, function, announce))


def try_import(module, function, announce):
    """Imports a module, and `module.function` if that is one: what was raised. Each is announced before it begins."""
    announce(module)
    error = attempt(load_file if module.endswith(".py") else __import__, module)
    inner = None if error else inner_module(module, function)
    if inner is not None:
        announce(inner)
        error = attempt(__import__, inner)
    return error


def attempt(load, module):
    try:
        with importing:
            load(module)
    except BaseException as error:
        return error
    return None


def inner_module(module, function):
    """The name that `module.function` has if it is a module that is not loaded yet."""
    found, name = sys.modules.get(module), function.split(".")[0]
    try:
        is_missing = hasattr(found, "__path__") and not hasattr(found, name)
    except Exception:  # a module may have a `__getattr__` of its own
        return None
    return "{}.{}".format(module, name) if is_missing else None
