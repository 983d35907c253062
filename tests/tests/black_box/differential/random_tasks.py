"""The tasks of random graphs. What one does is in its name: steps, joined by `_then_`, on what it got by name.

    add_x_2         x, as a whole number, is 2 more
    test_p_x_3      p is whether x is below 3
    set_x_true      x is a constant
    copy_x_y        y is what x is
    sum_x           x is the sum of all numbers, modulo 10
    names_s         s is the names of all there is
    need_x          x is a required input (of a class)
    raiseif_x_2     raises if x is 2
    raise           raises
    give_x, giveall returned by a method

The same is written once more in `tasks.rs`.
"""

import functools
import types

CONSTANTS = {"true": True, "false": False, "none": None, "one": 1.0, "half": 1.5, "zero": 0, "two": 2, "text": "text", "empty": ""}
NAMES = {"x", "y", "z", "p", "q", "s"}
MAKING = {"add", "test", "set", "copy", "sum", "names"}
PRIVATE = {"WorkflowException", "WorkflowExceptionInstance", "_NewWorkflowException"}


class Refusal(Exception):
    """An error of a task's own."""


def number(value):
    return int(value) if isinstance(value, (bool, int)) else 0


def steps(name):
    return [step.split("_") for step in name.split("_then_")]


def work(name, data):
    """What the steps make of a copy of the data, and what a method gives back."""
    data = {str(key): value for key, value in data.items()}
    changed, given = {}, None
    for verb, *words in steps(name):
        if verb == "add":
            new = {words[0]: (number(data.get(words[0])) + int(words[1])) % 1000}
        elif verb == "test":
            new = {words[0]: number(data.get(words[1])) < int(words[2])}
        elif verb == "set":
            new = {words[0]: CONSTANTS[words[1]]}
        elif verb == "copy":
            new = {words[1]: data.get(words[0])}
        elif verb == "sum":
            new = {words[0]: sum(map(number, data.values())) % 10}
        elif verb == "names":
            new = {words[0]: " ".join(sorted(data.keys() - PRIVATE))}
        elif verb == "raiseif":
            new = {}
            if number(data.get(words[0])) == int(words[1]):
                raise Refusal(f"{words[0]} is {words[1]}")
        elif verb == "raise":
            raise Refusal("always")
        elif verb == "need":
            new = {}
        elif verb == "give":
            new, given = {}, data.get(words[0])
        elif verb == "giveall":
            new, given = {}, {key: value for key, value in data.items() if key not in PRIVATE}
        else:
            raise NotImplementedError(verb)
        data.update(new)
        changed.update(new)
    return changed, given


def dictionary(name, **data):
    return work(name, data)[0]


def task_class(name, program):
    """A class has the inputs of `NAMES`, and what its steps make for outputs."""
    from ewokscore import Task

    required = {words[0] for verb, *words in steps(program) if verb == "need"}
    made = {words[-1] if verb == "copy" else words[0] for verb, *words in steps(program) if verb in MAKING}

    def run(self):
        given = {name: self.get_input_value(name) for name in NAMES if not self.missing_inputs[name]}
        for output, value in work(program, given)[0].items():
            setattr(self.outputs, output, value)

    names = {"input_names": sorted(required), "optional_input_names": sorted(NAMES - required)}
    body = {"run": run, "__module__": __name__}
    return types.new_class(name, (Task,), {**names, "output_names": sorted(made)}, lambda space: space.update(body))


def method(name, *positional, **named):
    return work(name, {**dict(enumerate(positional)), **named})[1]


@functools.lru_cache(None)
def __getattr__(name):
    kind, _, program = name.partition("_")
    if kind == "ppf":
        return functools.partial(dictionary, program)
    if kind == "Class":
        return task_class(name, program)
    if kind == "method":
        return functools.partial(method, program)
    raise AttributeError(name)
