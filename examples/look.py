"""The tasks of the example look.yaml, which says what is at a path."""

import os


def look(path, **kwargs):
    return {"is_folder": os.path.isdir(path), "bytes": os.stat(path).st_size}


def entries(path, **kwargs):
    return {"entries": sorted(os.listdir(path))}


def lines(path, **kwargs):
    with open(path, "rb") as file:
        return {"lines": sum(1 for _ in file)}


def sorry(WorkflowException, **kwargs):
    return "sorry: " + WorkflowException["errorMessage"]
