#!/bin/sh
# Prints the tables of the README's section "Speed and memory": `tests/bench.sh [--test] [NAME...]`.
#
# NAME is translator, chunk, relay or first_token; all of them by default. `--test` makes everything short, to see that
# it still runs: its figures mean nothing. No figure makes this fail. first_token needs the real CLI: tests/run.sh
# installs it.
set -eu
cd "$(dirname "$0")/.."

quick='' names=''
for arg; do
    case $arg in
        --test) quick=--test ;;
        translator | chunk | relay | first_token) names="$names $arg" ;;
        *) echo "usage: tests/bench.sh [--test] [translator] [chunk] [relay] [first_token]" >&2; exit 2 ;;
    esac
done

cargo build --quiet --release --example server --bin fake-claude
for name in ${names:-translator chunk relay first_token}; do
    case $name in
        translator) package=claude-exec ;;
        chunk) package=claude-exec-openai ;;
        *) package=claude-exec-workspace ;;
    esac
    echo
    cargo bench --quiet --package $package --bench "$name" -- $quick
done
