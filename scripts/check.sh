#!/usr/bin/env bash
# What every change must pass; people and CI run the same.
#
#   scripts/check.sh [all | format | imports | lint | doc | deny | advisories | test | black-box]...
#
# Without an argument: all, which is everything but the advisories, since these need the network each time. The part
# test has the tests of each crate and the README's examples; black-box has the long tests with real processes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
    sed -n 's/^# \{0,1\}//; 2,7p' "$0"
}

heading() {
    printf '\n== %s\n' "$*"
}

check_format() {
    cargo fmt --all --check
}

check_imports() {
    python3 scripts/imports.py
}

check_lint() {
    cargo clippy --workspace --all-targets -- -D warnings
}

check_doc() {
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
    same_examples
}

# block KIND FILE: the text of the file's first code block of that kind.
block() {
    awk -v fence="\`\`\`$1" '$0 == fence { inside = 1; next } $0 == "```" && inside { exit } inside' "$2"
}

# The pages show examples as they are: the Rust one but for the line that says what the file is for, and one function of
# the Python one.
same_examples() {
    local rust=scheduler/examples/getting_started.rs graph=examples/look.yaml tasks=examples/look.py
    same "the first Rust block of docs/rust.md is not $rust" <(block rust docs/rust.md) <(sed '1,/^$/d' "$rust")
    same "the YAML block of README.md is not $graph" <(block yaml README.md) "$graph"
    same "the Python block of README.md is not in $tasks" <(block python README.md) \
        <(awk '/^def / { inside = /^def look\(/ } inside && NF' "$tasks")
}

# same SENTENCE SHOWN FILE: says the sentence where the two differ.
same() {
    if ! diff "$2" "$3"; then
        printf '%s (above: < page, > example)\n' "$1" >&2
        return 1
    fi
}

check_deny() {
    cargo deny check --hide-inclusion-graph bans licenses sources
}

check_advisories() {
    cargo deny check --hide-inclusion-graph advisories
}

check_test() {
    prepare_tests
    cargo test --workspace --exclude pushflow-tests
    run_black_box --test black_box -- examples:: --skip ewoks_examples::
}

check_black_box() {
    prepare_tests
    run_black_box --test black_box --test process_rules
}

prepare_tests() {
    if ! command -v python3 > /dev/null; then
        echo "the tests run Python tasks: install python3 (3.8 or newer) first" >&2
        return 1
    fi
    python_with_libraries
    # Much of their time tests wait, for programs and for the end of time limits: half as many again as there are cores.
    export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$(($(nproc) * 3 / 2))}
}

# run_black_box ARGUMENT...: of the whole workspace, since of one package alone cargo takes other features of the libraries,
# and builds them all again.
run_black_box() {
    # The black-box tests start the programs, which cargo test does not build for another package.
    cargo build --workspace --bins
    cargo test --workspace "$@"
}

# Makes the interpreter of the tests, a virtual environment that is used again, unless PUSHFLOW_PYTHON names one. Without
# a package index the tests that need its libraries say so, and fail in CI.
python_with_libraries() {
    if [[ -n ${PUSHFLOW_PYTHON:-} ]]; then return; fi
    if ! .venv/bin/python3 -c "import billiard, ewoksppf, gevent, ipykernel, numpy, papermill" 2> /dev/null; then
        python3 -m venv .venv && .venv/bin/pip install --quiet --requirement tests/requirements.txt ||
            echo "the Python libraries of tests/requirements.txt could not be installed: some tests need them" >&2
    fi
    if [[ -x .venv/bin/python3 ]]; then export PUSHFLOW_PYTHON=$PWD/.venv/bin/python3; fi
}

passed=()
skipped=()

has_cargo_deny() {
    cargo deny --version > /dev/null 2>&1
}

run_part() {
    local part=$1
    case $part in
        format | imports | lint | doc | deny | advisories | test | black-box) ;;
        *)
            printf 'check.sh: there is no part "%s"\n' "$part" >&2
            usage >&2
            exit 2
            ;;
    esac
    heading "$part"
    if [[ $part == deny || $part == advisories ]] && ! has_cargo_deny; then
        echo "skipped, since cargo-deny is not installed (cargo install cargo-deny --locked)"
        skipped+=("$part")
        return
    fi
    trap 'printf "\ncheck.sh: failed: %s\n" "$part" >&2' EXIT
    "check_${part//-/_}"
    trap - EXIT
    passed+=("$part")
}

parts=("${@:-all}")
case ${parts[*]} in
    -h | --help)
        usage
        exit
        ;;
    all) parts=(format imports lint doc deny test black-box) ;;
esac
for part in "${parts[@]}"; do run_part "$part"; done

printf '\ncheck.sh: passed: %s' "${passed[*]:-nothing}"
if ((${#skipped[@]})); then printf '; skipped: %s' "${skipped[*]}"; fi
printf '\n'
