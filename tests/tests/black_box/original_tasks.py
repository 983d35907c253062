"""Runs tasks of the original's own tests by the original: for each case of standard input, a module and its inputs, what
arrives behind the actor, or the message of the error, as one JSON list on standard output."""

import json
import logging
import sys

from pypushflow.ErrorHandler import ErrorHandler
from pypushflow.PythonActor import PythonActor
from pypushflow.StopActor import StopActor
from pypushflow.ThreadCounter import ThreadCounter


def arrived(module, inputs):
    counter = ThreadCounter()
    actor = PythonActor(script="pypushflow.tests.tasks.{}.py".format(module), name=module, thread_counter=counter)
    handler, stop = ErrorHandler(name="handler", thread_counter=counter), StopActor(thread_counter=counter)
    actor.connect(stop)
    actor.connectOnError(handler)
    handler.connect(stop)
    actor.trigger(inputs)
    if not stop.join(timeout=60):
        raise SystemExit("{} does not end".format(module))
    data = dict(stop.outData)
    exception = data.pop("WorkflowException", None)
    data.pop("WorkflowExceptionInstance", None)
    return {"data": data} if exception is None else {"error": exception["errorMessage"]}


logging.disable(logging.CRITICAL)
results = [arrived(*case) for case in json.load(sys.stdin)]
json.dump(results, sys.stdout)
sys.stdout.flush()
