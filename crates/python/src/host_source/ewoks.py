"""Runs the tasks of ewoks graphs that need `ewokscore`: task classes, generated task classes, and notebooks.

It does the same as a worker of ewoksppf (`ewoksppf/ppfrunscript.py`): it makes the task with its inputs, executes it,
and returns all its outputs. An output that the task has not set is `MISSING_DATA`, as in ewoksppf. An error of
ewokscore about a task that it can't make or execute becomes one sentence, or the exception that the task itself raised.

The first such task of an interpreter compiles this module and loads `ewokscore`, so that the start of an interpreter
stays short.
"""

import os
import sys

from _pushflow_finding import Missing, clean, did_you_mean, find_task, load_file, load_module, nearest, type_name
from _pushflow_values import BadArgument, Wrapped, quoted


def library():
    """The class from which all task classes derive."""
    try:
        from ewokscore.task import Task
    except ModuleNotFoundError as error:
        if error.name not in ("ewokscore", "ewokscore.task"):
            raise
        advice = "install it there, or choose another interpreter with --python or PUSHFLOW_PYTHON"
        message = 'the task needs the Python package "ewokscore", which {} does not have: {}'
        raise Missing(message.format(sys.executable, advice)) from None
    return Task


def make_call(module, name, kind, identifier, node, label):
    """A function that runs the task with the inputs that are its arguments."""
    task = library()
    if kind == "notebook":
        return caller(*notebook(identifier), node, label)
    if kind == "generated":
        return caller(generated(task, module, name, identifier), {}, node, label)
    found = find_class(task, module, name)
    return (lambda: input_names(found)) if kind == "input names" else caller(found, {}, node, label)


# ---- which class ---------------------------------------------------------------------------------------------------


def find_class(task, module, name):
    found = thing = load_file(module) if module.endswith(".py") else load_module(module)
    for part in name.split("."):
        thing = getattr(thing, part, None)
    if thing is None:
        classes = [known for known, value in vars(found).items() if isinstance(value, type)]
        advice = did_you_mean(name, classes)
        raise Missing('the module "{}" has no class "{}"{}'.format(module, name, advice))
    return checked(task, thing, '"{}" of the module "{}"'.format(name, module))


def generated(task, module, generator, identifier):
    made = find_task(module, generator)(identifier)
    subject = 'what "{}" of the module "{}" made of "{}"'.format(generator, module, identifier)
    return checked(task, made, subject)


def checked(task, found, subject):
    if not isinstance(found, type):
        raise Missing("{} is no ewoks task class, but of type {}".format(subject, type_name(type(found))))
    if not issubclass(found, task):
        raise Missing("{} is no ewoks task class: it does not derive from ewokscore.Task".format(subject))
    return found


def notebook(path):
    """The class that runs notebooks, and the input that names the notebook."""
    from ewokscore import notebooktask

    if notebooktask.execute_notebook is None:
        message = 'the task needs the Python package "papermill", which {} does not have: install ewokscore[notebooks]'
        raise Missing(message.format(sys.executable))
    if "://" not in path and not os.path.isfile(path):
        raise Missing('there is no notebook "{}"'.format(path))
    return notebooktask.NotebookExecutorTask, {notebooktask.NOTEBOOK_ARGUMENT: path}


def input_names(found):
    return {"required": sorted(found.required_input_names()), "optional": sorted(found.optional_input_names())}


# ---- running it ----------------------------------------------------------------------------------------------------


def caller(found, own_inputs, node, label):
    def call(*positional, **named):
        inputs = {**named, **dict(enumerate(positional)), **own_inputs}
        refuse_incomplete(found, inputs)
        attributes = {"id": node, "task_identifier": found.class_registry_name()}
        if label is not None:
            attributes["label"] = label
        return execute(found(inputs=inputs, node_id=node, node_attrs=attributes))

    return call


def refuse_incomplete(found, inputs):
    """Refuses a call without a required input in one sentence. The message of ewokscore has several lines."""
    name = type_name(found)
    missing = sorted(found.required_input_names() - inputs.keys())
    if missing:
        known = found.required_input_names() | found.optional_input_names()
        unexpected = [key for key in inputs if isinstance(key, str) and key not in known]
        matches = [nearest(key, unexpected) for key in missing]
        meant = ['; is it what came as "{}"?'.format(match) for match in matches if match is not None]
        message = "the task class {} lacks the required input{} {}{}"
        listed = " and ".join(map(quoted, missing))
        raise BadArgument(message.format(name, "s" * (len(missing) > 1), listed, "".join(meant)))
    for position in range(found.n_required_positional_inputs()):
        if position not in inputs:
            raise BadArgument("the task class {} lacks the required input at position {}".format(name, position))


def of_cell(error):
    """The type name and the text of the exception of a notebook's cell, if papermill reports one."""
    name, text = getattr(error, "ename", None), getattr(error, "evalue", None)
    is_reported = type(error).__module__.startswith("papermill.") and type(name) is str and type(text) is str
    return (clean(name), clean(text)) if is_reported else None


def execute(task):
    try:
        task.execute()
    except Exception as wrapper:
        own = task.exception
        if own is None or own is wrapper:
            raise
        raise Wrapped(own, wrapper, of_cell(own)) from None
    return {name: variable.value for name, variable in task.output_variables.items()}
