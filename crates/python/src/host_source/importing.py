"""Imports the modules that the graph names, before the first task needs them.

A failed import is ignored here: the task that needs the module imports it again, and fails with the error.
"""

import sys
from _thread import allocate_lock

from _pushflow_finding import load_file
from _pushflow_modules import NAMES

# Threads of one interpreter import one after another, so that the second thread finds the modules of the first.
importing = allocate_lock()


def import_named(announce, after_each):
    """Announces and imports each module that a task needs, and calls `after_each` with the exception or `None`."""
    for module, function in zip(NAMES[::2], NAMES[1::2]):
        after_each(try_import(module, function, announce))


def try_import(module, function, announce):
    """Imports a module, and `module.function` if that is a module too; returns the exception or `None`. Each import is
    announced before it begins."""
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
    """The name of `module.function`, if that may be a module that is not loaded yet; else `None`."""
    found, name = sys.modules.get(module), function.split(".")[0]
    try:
        is_missing = hasattr(found, "__path__") and not hasattr(found, name)
    except Exception:  # a module may have a `__getattr__` of its own
        return None
    return "{}.{}".format(module, name) if is_missing else None
