"""Prints the workflows of the test suite of ewoksppf, each with its inputs and the result that ewoksppf gives it, as one
JSON list. The test modules are run with a stand-in for their test framework (beside this file) and a recorder in place of
`execute_graph`. Workflows with values that JSON can't hold are left out."""

import contextlib
import copy
import importlib
import json
import pkgutil
import sys
import tempfile
import threading
import warnings

import ewoksppf
import ewoksppf.tests

records = []
PRIVATE = {"_noinput", "_NewWorkflowException", "WorkflowException", "WorkflowExceptionInstance"}
# Its tests look at what its tasks leave in their own process.
LEFT_OUT = {"ewoksppf.tests.test_ppf_workflow25"}


def plain(value):
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items() if key not in PRIVATE}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return value


def repair(bindings):
    """Release 3.0.0 locks itself out where a loop comes back in the same call stack; its development version does this."""
    made = bindings.InputMergeActor.__init__

    def make(self, *arguments, **options):
        made(self, *arguments, **options)
        self._lock = threading.RLock()

    bindings.InputMergeActor.__init__ = make


def record_all():
    original = ewoksppf.execute_graph
    repair(ewoksppf.bindings)

    def recorder(graph, inputs=None, **_):
        record = {"module": name, "graph": plain(copy.deepcopy(graph)), "inputs": plain(inputs or [])}
        result = original(graph, inputs=inputs, raise_on_error=False, timeout=20, max_workers=2)
        record["result"] = plain(result)
        with contextlib.suppress(TypeError):
            records.append(json.loads(json.dumps(record)))
        return result

    ewoksppf.execute_graph = recorder
    for module in pkgutil.iter_modules(ewoksppf.tests.__path__, "ewoksppf.tests."):
        name = module.name
        if ".test_ppf_" not in name or module.ispkg or name in LEFT_OUT:
            continue
        loaded = importlib.import_module(name)
        for attribute, function in list(vars(loaded).items()):
            if attribute.startswith("test_") and callable(function):
                for row in getattr(function, "rows", [{}]):
                    run(function, row)


def run(function, row):
    folder = tempfile.mkdtemp()
    arguments = {"ppf_log_config": None, "tmpdir": folder, "tmp_path": folder, **row}
    wanted = function.__code__.co_varnames[: function.__code__.co_argcount]
    # What the test asserts is not asked here.
    with contextlib.suppress(Exception):
        function(**{argument: arguments[argument] for argument in wanted})


warnings.simplefilter("ignore")
with contextlib.redirect_stdout(sys.stderr):
    record_all()
json.dump(records, sys.stdout)
