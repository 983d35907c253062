#!/usr/bin/env bash
# Runs every pool with every task of the probe, start method and environment, each combination in a fresh process, and
# writes docs/compatibility.md.
#
# Fails if something is worse than the original says of itself, and if the page said something else before: then it is to
# be looked at and committed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

page=docs/compatibility.md
new=$(mktemp)
trap 'rm -f "$new"' EXIT

cargo build --quiet --package pushflow-worker --package pushflow-compat-probe
code=0
# The user's own choice of a worker or an environment is not what the page is about.
env -u PUSHFLOW_WORKER -u PUSHFLOW_ENVIRONMENT \
    cargo run --quiet --package pushflow-compat-probe --bin pushflow-probe -- --format markdown > "$new" || code=$?
tail -n 1 "$new"
if ((code > 1)); then
    echo "compat_matrix.sh: the probe ended with code $code; $page stays as it was" >&2
    exit "$code"
fi

same=0
diff "$page" "$new" || same=$?
cp "$new" "$page"
if ((code)); then
    echo "compat_matrix.sh: something is worse than the original says of itself: see $page" >&2
    exit 1
fi
if ((same)); then
    echo "compat_matrix.sh: $page said something else (above: < before, > now): look at it, then commit it" >&2
    exit 1
fi
