#!/usr/bin/env python3
"""Times `pushflow run` beside `ewoks execute --engine ppf`, with the same graphs and settings, as whole programs.

    scripts/bench_ewoks.py [--ewoks PROGRAM] [--pushflow PROGRAM] [--repeat N]

A graph of one node, and a wide one: 9,999 nodes after one. Each node calls a Python function that does nothing, on a pool
of one thread a core, which are all started at once. The two take turns; what is printed are the medians of N runs (5), with
the least and the most, and how many times as long ewoks takes. pushflow uses the interpreter of ewoks. Both must say that
they have finished, else this fails.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TASKS = "def nothing(x=None):\n    return x\n"


def graph(nodes):
    """One node, and the others after it."""
    names = ["n{}".format(number) for number in range(nodes)]
    mapping = [{"source_output": "return_value", "target_input": "x"}]
    return {
        "graph": {"id": "{} nodes".format(nodes)},
        "nodes": [{"id": name, "task_type": "method", "task_identifier": "noop.nothing"} for name in names],
        "links": [{"source": names[0], "target": name, "data_mapping": mapping} for name in names[1:]],
    }


def seconds(command, folder):
    environment = dict(os.environ, PYTHONPATH=folder)
    began = time.perf_counter()
    ended = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    took = time.perf_counter() - began
    if ended.returncode != 0 or b"FAILED" in ended.stdout:
        sys.exit("{} failed:\n{}".format(" ".join(command), ended.stdout.decode(errors="replace")))
    return took


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ewoks", default=shutil.which("ewoks"))
    parser.add_argument("--pushflow", default="target/release/pushflow")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    if not options.ewoks:
        sys.exit("there is no program ewoks: install ewoks[ppf], or say where it is with --ewoks")
    pushflow, ewoks = os.path.abspath(options.pushflow), os.path.abspath(options.ewoks)
    python = os.path.join(os.path.dirname(ewoks), "python")
    workers = str(os.cpu_count())
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "noop.py"), "w") as file:
            file.write(TASKS)
        for nodes in (1, 10000):
            name = "{}.json".format(nodes)
            with open(os.path.join(folder, name), "w") as file:
                json.dump(graph(nodes), file)
            own = [pushflow, "run", name, "--pool", "thread", "--no-scaling", "--workers", workers, "--progress", "none"]
            own += ["--python", python]
            other = [ewoks, "execute", name, "--engine", "ppf", "--outputs", "none"]
            other += ["-o", "pool_type=thread", "-o", "scaling_workers=false", "-o", "max_workers=" + workers]
            turns = [(seconds(own, folder), seconds(other, folder)) for _ in range(options.repeat)]
            ours, theirs = zip(*turns)
            for program, took in (("pushflow run", ours), ("ewoks execute", theirs)):
                figures = statistics.median(took), min(took), max(took)
                print("{:>6} nodes  {:14} {:8.3f} s  ({:.3f} to {:.3f})".format(nodes, program, *figures))
            ratio = statistics.median(theirs) / statistics.median(ours)
            print("{:>6} nodes  ewoks takes {:.0f} times as long".format(nodes, ratio), flush=True)


if __name__ == "__main__":
    main()
