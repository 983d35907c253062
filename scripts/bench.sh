#!/usr/bin/env bash
# Measures pushflow, and beside it, in the same run, what users would pick instead.
#
#   scripts/bench.sh [--peers FILE] [--python INTERPRETER] [OPTION]...
#
# FILE is a Python script that runs the same workloads on other libraries, prints one JSON object a line, and takes the
# same OPTIONs: --only WORKLOAD,...  --quick  --repeat K. INTERPRETER has those libraries, and runs pushflow's Python
# tasks too. Without FILE pushflow is measured alone. The two sides take turns, workload by workload, since machines
# change their speed; a table of the medians and of their ratios comes last.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

peers='' python=${PUSHFLOW_PYTHON:-python3} only='submit,roundtrip,chain,fanout,cycle,payload,coldstart'
options=()
while (($#)); do
    case $1 in
        -h | --help)
            sed -n '2,$ { /^#/!q; s/^# \{0,1\}//p }' "$0"
            exit
            ;;
        --peers) peers=$2 && shift 2 ;;
        --python) python=$2 && shift 2 ;;
        --only) only=$2 && shift 2 ;;
        *) options+=("$1") && shift ;;
    esac
done

cargo build --release --package pushflow-tests --bin pushflow-benchmark
figures=$(mktemp)
trap 'rm -f "$figures"' EXIT
for workload in ${only//,/ }; do
    PUSHFLOW_PYTHON=$python target/release/pushflow-benchmark --only "$workload" "${options[@]}" | tee -a "$figures"
    if [[ -n $peers ]]; then "$python" "$peers" --only "$workload" "${options[@]}" | tee -a "$figures"; fi
done

"$python" - "$figures" << 'EOF'
"""A table for each workload, and how many times the first Python figure of pushflow each peer takes."""
import json, sys

figures = [json.loads(line) for line in open(sys.argv[1])]
for workload in dict.fromkeys(figure["workload"] for figure in figures):
    rows = [figure for figure in figures if figure["workload"] == workload]
    base = next((row for row in rows if row["peer"].startswith("pushflow:python")), rows[0])
    print("\n{} ({}); times {}".format(workload, base["unit"], base["peer"]))
    for row in rows:
        ratio = row["value"] / base["value"]
        print("  {:34} {:>12.2f} {:>9.2f}x  ({:.2f} to {:.2f})".format(row["peer"], row["value"], ratio, row["min"], row["max"]))
EOF
