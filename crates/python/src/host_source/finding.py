"""Finds the function that a task names: in a module by its dotted name, or in a file."""

import os
import sys
from types import ModuleType

# The folders that are searched before Python's own path; `prepare` in `host.py` fills the list.
SEARCH = []

# The modules that were loaded from files: by real path, and by the path that a task gave (with the current folder where
# that path is relative).
loaded_files = {}
found_files = {}


class Missing(Exception):
    """The task's module or function does not exist."""


def own_module(name):
    """A module of this host that few tasks need; it is compiled at first use."""
    module = sys.modules.get(name)
    if module is None:
        module = ModuleType(name)
        exec(compile(LATER[name], own_module.__code__.co_filename, "exec"), module.__dict__)  # noqa: F821 (see LOADER)
        # Another thread may have made the module meanwhile.
        module = sys.modules.setdefault(name, module)
    return module


def find_task(module, function):
    """The callable that `module` and `function` name. Where `module.function` is a module, the callable is its
    `run`."""
    found = load_file(module) if module.endswith(".py") else load_module(module)
    task = found
    for name in function.split("."):
        try:
            task = getattr(task, name)
        except AttributeError:
            task = submodule(found, module, function)
            break
    if isinstance(task, ModuleType):
        return find_task(task.__name__, "run")
    if not callable(task):
        kind = type_name(type(task))
        raise Missing('"{}" of the module "{}" is no function, but of type {}'.format(function, module, kind))
    if isinstance(task, type) and any("__call__" in vars(base) for base in task.__mro__):
        return task()
    return task


def submodule(found, module, function):
    """The module `module.function`."""
    name = "{}.{}".format(module, function)
    if hasattr(found, "__path__") and name.isprintable():
        try:
            return load_module(name)
        except Missing:
            pass
    names = [name for name, value in getattr(found, "__dict__", {}).items() if callable(value)]
    message = 'the module "{}" has no function "{}"{}'.format(module, function, did_you_mean(function, names))
    raise Missing(message) from None


def type_name(kind):
    module, name = kind.__module__, kind.__qualname__
    return clean(name if module in ("builtins", "__main__") else "{}.{}".format(module, name))


def clean(text):
    """The text without lone surrogates, which are not Unicode; they become escapes."""
    return str.encode(text, "utf-8", "backslashreplace").decode()


# ---- modules -------------------------------------------------------------------------------------------------------


def load_module(name):
    if not name or not all(name.split(".")):
        raise Missing('"{}" is no name of a module'.format(name))
    for is_last_try in (False, True):
        try:
            __import__(name)
            return sys.modules[name]
        except ModuleNotFoundError as error:
            missing = error.name or ""
            if not (name + ".").startswith(missing + ".") or own_frames(error.__traceback__):
                raise
            if is_last_try:
                raise Missing(no_module(missing)) from None
        # The file may be newer than the listing of its folder that the import system has cached.
        import importlib

        importlib.invalidate_caches()


def no_module(name):
    import pkgutil

    parent, _, last = name.rpartition(".")
    prefix = parent + "." if parent else ""
    if not parent:
        folders, where = SEARCH, ", ".join(SEARCH) + " or on Python's own path" if SEARCH else "Python's path"
    elif hasattr(sys.modules.get(parent), "__path__"):
        folders = list(sys.modules[parent].__path__)
        where = ", ".join(folders)
    else:
        return 'no module named "{}": "{}" is a module, not a package'.format(name, parent)
    # A file whose name is no identifier can't be imported by its name.
    names = [module.name for module in pkgutil.iter_modules(folders) if module.name.isidentifier()]
    # Far names: those of Python's own path, and those built into the interpreter.
    far = [] if parent else [module.name for module in pkgutil.iter_modules()] + list(sys.builtin_module_names)
    far = [name for name in far if not name.startswith("_")]
    advice = did_you_mean(last, names, far, prefix=prefix)
    return 'no module named "{}" in {}{}'.format(name, where, advice)


# ---- files ---------------------------------------------------------------------------------------------------------


def load_file(path):
    """The module in a file. A path is looked up once, as an import is."""
    key = path if os.path.isabs(path) else (path, os.getcwd())
    module = found_files.get(key)
    if module is None:
        module = found_files[key] = find_file(path)
    return module


def find_file(path):
    """The module in a file. A relative path is searched in the folders of `SEARCH`, then in the current folder."""
    places = [os.path.join(folder, path) for folder in SEARCH + [os.getcwd()]]
    place = next((place for place in places if os.path.isfile(place)), None)
    if place is None:
        raise Missing(no_file(path, places))
    place = os.path.realpath(place)
    if place not in loaded_files:
        loaded_files[place] = execute_file(place)
    return loaded_files[place]


def no_file(path, places):
    folders = list(dict.fromkeys(os.path.dirname(place) for place in places))
    names = []
    for folder in filter(os.path.isdir, folders):
        names.extend(name for name in os.listdir(folder) if name.endswith(".py"))
    folder, name = os.path.split(path)
    advice = did_you_mean(name, sorted(names), prefix=folder + "/" if folder else "")
    return 'no file "{}" in {}{}'.format(name, ", ".join(folders), advice)


def execute_file(path):
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(name_for_file(path), path)
    module = sys.modules[spec.name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def name_for_file(path):
    """The name of a file's module: the stem of the file, if an import by that name finds this file or nothing; else the
    path."""
    from importlib.util import find_spec

    stem = os.path.splitext(os.path.basename(path))[0]
    try:
        spec = find_spec(stem) if stem.isidentifier() else None
    except ValueError:  # a module of that name has no specification
        return path
    is_free = spec is None or (spec.origin is not None and os.path.realpath(spec.origin) == path)
    return stem if is_free and stem not in sys.modules else path


def nearest(name, *groups):
    """The name of the nearest group that `name` most likely means, or `None`."""
    return own_module("_pushflow_nearest").nearest(name, *groups)


def did_you_mean(name, *groups, prefix=""):
    """The end of a sentence about a wrong name: the name that was probably meant, or nothing."""
    match = nearest(name, *groups)
    return "" if match is None else '; did you mean "{}{}"?'.format(prefix, match)


# ---- tracebacks ----------------------------------------------------------------------------------------------------


def own_frames(traceback):
    """The traceback from the first frame on that belongs neither to this host nor to the import system."""
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if file != own_frames.__code__.co_filename and not file.startswith("<frozen importlib"):
            break
        traceback = traceback.tb_next
    return traceback
