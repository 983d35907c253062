"""Prints the workflows of the test suite of ewoksppf, each with its inputs and the result that ewoksppf gives it, as one
JSON list. The test modules are run with a stand-in for their test framework and a recorder for `execute_graph`."""

import contextlib
import copy
import importlib
import json
import pkgutil
import sys
import tempfile
import threading
import types
import warnings

warnings.simplefilter("ignore")
records = []
PRIVATE = {"_noinput", "_NewWorkflowException", "WorkflowException", "WorkflowExceptionInstance"}


def plain(value):
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items() if key not in PRIVATE}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return value


def stand_in():
    """A module `pytest` that knows what the test modules use at import."""
    module = types.ModuleType("pytest")

    def parametrize(names, values, **_):
        names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)

        def mark(function):
            rows = [value if len(names) > 1 else (value,) for value in values]
            function.rows = [{**dict(zip(names, row)), **old} for row in rows for old in getattr(function, "rows", [{}])]
            return function

        return mark

    def ignored(*arguments, **_):
        return arguments[0] if arguments and callable(arguments[0]) else lambda function: function

    module.fixture = ignored
    module.param = lambda *values, **_: values
    module.skip = module.fail = ignored
    module.raises = lambda *_, **__: contextlib.suppress(Exception)
    module.mark = types.SimpleNamespace(parametrize=parametrize, skip=ignored, skipif=ignored, xfail=ignored)
    return module


def repair(bindings):
    """Release 3.0.0 locks itself out where a loop comes back in the same call stack; its development version does this."""
    made = bindings.InputMergeActor.__init__

    def make(self, *arguments, **options):
        made(self, *arguments, **options)
        self._lock = threading.RLock()

    bindings.InputMergeActor.__init__ = make


def main():
    sys.modules["pytest"] = stand_in()
    import ewoksppf
    import ewoksppf.tests

    original = ewoksppf.execute_graph
    repair(ewoksppf.bindings)

    def recorder(graph, inputs=None, **_):
        record = {"module": name, "graph": plain(copy.deepcopy(graph)), "inputs": plain(inputs or [])}
        result = original(graph, inputs=inputs, pool_type="thread", raise_on_error=False, timeout=20)
        record["result"] = plain(result)
        records.append(record)
        return result

    ewoksppf.execute_graph = recorder
    for module in pkgutil.iter_modules(ewoksppf.tests.__path__, "ewoksppf.tests."):
        name = module.name
        if ".test_ppf_" not in name or module.ispkg:
            continue
        loaded = importlib.import_module(name)
        for attribute, function in list(vars(loaded).items()):
            if attribute.startswith("test_") and callable(function):
                for row in getattr(function, "rows", [{}]):
                    run(function, row)


def run(function, row):
    code = function.__code__
    wanted = code.co_varnames[: code.co_argcount]
    arguments = {"ppf_log_config": None, "tmpdir": tempfile.mkdtemp(), **row}
    with contextlib.suppress(Exception):
        function(**{argument: arguments[argument] for argument in wanted})


with contextlib.redirect_stdout(sys.stderr):
    main()
json.dump(records, sys.stdout, default=repr)
