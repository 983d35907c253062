"""The task of the getting-started workflow: greets whoever it is given."""


def run(name, **kwargs):
    return {"reply": "Hello " + name + "!"}
