"""Prints the example workflows of ewokscore and those of the test suite of ewoksppf, each with its inputs and the results
that are right, as one JSON list: the one that ewoksppf gives, or those that its tests accept where that is a matter of time.
The test modules of ewoksppf are run with a stand-in for their test framework (beside this file) and a recorder in place of
`execute_graph`. Workflows with inputs that JSON can't hold are left out: workflow23, which the original itself skips."""

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
from ewokscore.missing_data import is_missing_data
from ewokscore.tests.examples.graphs import get_graph, graph_names
from ewoksppf import bindings

records = []
PRIVATE = {"_noinput", "_NewWorkflowException", "WorkflowException", "WorkflowExceptionInstance"}
# The last execution of its end node has got one of two optional inputs, and which one is a matter of time.
WORKFLOW25 = "ewoksppf.tests.test_ppf_workflow25"
GATHERED = ["required1", "required2", "optional1", "optional2"]
# "Self-triggering workflow execution is inconsistent" in ewoksppf: here what ewokscore expects counts.
SELF_TRIGGER = "self_trigger"


def plain(value):
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items() if key not in PRIVATE}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if is_missing_data(value):
        return {"$type": "ewokscore.missing_data.MissingData", "$repr": repr(value)}
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
    repair(bindings)

    def recorder(graph, inputs=None, **_):
        record = {"module": name, "graph": plain(copy.deepcopy(graph)), "inputs": plain(inputs or [])}
        if name == WORKFLOW25:
            result = None
            retained = (GATHERED + ["retained1"], GATHERED + ["retained2"])
            record["results"] = [{"cached": dict.fromkeys(names, True)} for names in retained]
        else:
            result = original(graph, inputs=inputs, raise_on_error=False, timeout=20, max_workers=2)
            record["results"] = [plain(result)]
        with contextlib.suppress(TypeError):
            record = json.loads(json.dumps(record))
            if record not in records:
                records.append(record)
        return result

    for name in graph_names():
        graph, expected = get_graph(name)
        recorder(graph)
        if name == SELF_TRIGGER:
            records[-1]["results"] = list(plain(expected).values())
    bindings.execute_graph = ewoksppf.execute_graph = recorder
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
