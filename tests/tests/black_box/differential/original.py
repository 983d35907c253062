"""What the original engine makes of graphs: for each line of standard input, an object, one line of standard output.

    {"graph", "inputs", "pool": "thread" | "calm", "seconds"}
    {"ended": "by itself", "result", "executions": [{"node", "inputs", "outputs" | "error"}]}
    {"ended": "crashed" | "hung", "why"}

Each graph has a process of its own, since the engine may hang or break. The pool `thread` is its own. The pool `calm` is
for the graphs on which that pool hangs: it never calls back in the call stack of the one who submits a task, so that a
loop does not come back to a lock that it holds.
"""

import contextlib
import json
import logging
import os
import queue
import select
import signal
import sys
import threading
import warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import ewokscore
import ewokscore.inittask
import ewoksppf
import pypushflow.concurrent.factory
import random_tasks  # noqa: F401
from ewoksppf import bindings, ppfrunscript
from pypushflow.concurrent import base

PRIVATE = {"_noinput", "_method"}
TRAVELLING = "_ppfdict"
# The engine tells tasks the labels of their nodes for their ids.
NAME = "name in the test"


class CalmPool(base.BasePool):
    def __init__(self, max_workers=2, **options):
        super().__init__(**options)
        self._jobs = queue.SimpleQueue()
        for _ in range(max_workers):
            threading.Thread(target=self._work, daemon=True).start()

    def apply_async(self, fn, callback=None, error_callback=None, args=(), kwargs=None):
        self._jobs.put((fn, args, kwargs or {}, callback, error_callback))

    def _work(self):
        while True:
            fn, args, kwargs, callback, error_callback = self._jobs.get()
            try:
                result = fn(*args, **kwargs)
            except Exception as error:
                error_callback(error)
            else:
                callback(result)

    def close(self):
        pass

    def join(self, timeout=None):
        return True

    def interrupt(self):
        pass


class TellingLock:
    """A lock that says so when a thread waits for itself."""

    def __init__(self, hung):
        self._lock = threading.Lock()
        self._owner = None
        self._hung = hung

    def __enter__(self):
        if self._owner == threading.get_ident():
            self._hung("an actor waits for a lock that its own call stack holds")
        self._lock.acquire()
        self._owner = threading.get_ident()

    def __exit__(self, *_):
        self._owner = None
        self._lock.release()


def plain(value):
    if isinstance(value, dict):
        entries = {str(key): entry for key, entry in value.items() if key not in PRIVATE}
        return told(entries) if "traceBack" in entries else {key: plain(entry) for key, entry in entries.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return "an instance" if isinstance(value, BaseException) else {"$type": type(value).__name__}


def told(exception):
    """What an error link carries of a failure: the engine tells of it in words of its own, which end in those of the task."""
    return {"errorMessage": exception["errorMessage"].rpartition("): ")[2]}


def own_error(error):
    while error.__cause__ is not None:
        error = error.__cause__
    return {"type": type(error).__name__, "message": str(error)}


def node_name(node_id):
    return ":".join(map(node_name, node_id)) if isinstance(node_id, tuple) else str(node_id)


def note_executions(executions):
    """Notes what each task gets and gives, in the order in which they end."""
    original, made = ppfrunscript.run, threading.local()

    def instantiate(*arguments, **options):
        made.inputs = {name: value for name, value in options["inputs"].items() if name not in PRIVATE}
        made.defaults = {entry["name"]: entry["value"] for entry in arguments[1].get("default_inputs", ())}
        made.unpacks = arguments[1]["task_type"] in ("ppfmethod", "ppfport")
        return ewokscore.inittask.instantiate_task(*arguments, **options)

    def run(*arguments, **named):
        noted = {"node": named[ppfrunscript.INFOKEY]["node_attrs"][NAME]}
        try:
            result = original(*arguments, **named)
            noted["outputs"] = plain(result)
            return result
        except BaseException as error:
            noted["error"] = own_error(error)
            raise
        finally:
            inputs = {**made.defaults, **made.inputs}
            if made.unpacks:
                inputs.update(inputs.pop(TRAVELLING, None) or {})
            executions.append({**noted, "inputs": plain(inputs)})

    ppfrunscript.instantiate_task = instantiate
    ppfrunscript.run = run


def run_graph(request, tell):
    executions = []
    note_executions(executions)
    made = bindings.InputMergeActor.__init__

    def make(self, *arguments, **options):
        made(self, *arguments, **options)
        self._lock = TellingLock(lambda why: tell({"ended": "hung", "why": why}))

    bindings.InputMergeActor.__init__ = make
    pypushflow.concurrent.factory._POOLS["calm"] = CalmPool
    try:
        graph = ewokscore.load_graph(json.dumps(request["graph"]), inputs=request["inputs"])
        for node_id, attributes in graph.graph.nodes.items():
            attributes[NAME] = node_name(node_id)
        result = ewoksppf.execute_graph(
            graph,
            raise_on_error=False,
            pool_type=request["pool"],
            scaling_workers=False,
            max_workers=3,
        )
    except BaseException as error:
        tell({"ended": "crashed", "why": f"{type(error).__name__}: {error}"})
    tell({"ended": "by itself", "result": plain(result), "executions": executions})


def in_child(request):
    """Runs a graph in a process of its own, which is killed if it takes too long."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        # What a task prints is not for the one who asks.
        os.dup2(2, 1)

        def tell(answer):
            with os.fdopen(writer, "w") as pipe:
                json.dump(answer, pipe)
            os._exit(0)

        with contextlib.suppress(BaseException):
            run_graph(request, tell)
        os._exit(1)
    os.close(writer)
    answer = collect(reader, request["seconds"])
    os.close(reader)
    if answer is None:
        os.kill(child, signal.SIGKILL)
        answer = json.dumps({"ended": "hung", "why": f"it was not done after {request['seconds']} s"}).encode()
    _, status = os.waitpid(child, 0)
    return answer or json.dumps({"ended": "crashed", "why": f"its process ended with {status}"}).encode()


def collect(reader, seconds):
    """What comes out of a pipe until it is closed; none if it says nothing for that long."""
    said = b""
    while select.select([reader], [], [], seconds)[0]:
        more = os.read(reader, 1 << 16)
        if not more:
            return said
        said += more
    return None


def main():
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(in_child(json.loads(line)).replace(b"\n", b" ") + b"\n")
        sys.stdout.buffer.flush()


main()
