#!/bin/sh
# Prints the tables of the README's section "Speed and memory": `tests/bench.sh [OPTION...] [NAME...]`.
#
# NAME is translator, chunk, relay, first_token, tool_call or latency; all of them by default. No figure makes this fail.
# The last three need the real CLI: tests/run.sh installs it. latency installs the vendor's Python client.
#
#   --test        makes everything short, to see that it still runs: its figures mean nothing
#   --runs N      rounds of latency (50)
#   --minutes M   of conversations that share processes, in latency (5)
set -eu
cd "$(dirname "$0")/.."

usage() {
    sed -n 's/^#$//p; s/^# //p' "$0" >&2
    exit 2
}

quick='' measure='' names=''
while [ $# -gt 0 ]; do
    case $1 in
        --test) quick=$1 ;;
        --runs | --minutes) [ $# -gt 1 ] || usage; measure="$measure $1 $2"; shift ;;
        translator | chunk | relay | first_token | tool_call | latency) names="$names $1" ;;
        *) usage ;;
    esac
    shift
done

cargo build --quiet --release --example server --bin fake-claude
for name in ${names:-translator chunk relay first_token tool_call latency}; do
    case $name in
        translator) package=claude-exec ;;
        chunk) package=claude-exec-openai ;;
        *) package=claude-exec-workspace ;;
    esac
    options=$quick
    if [ "$name" = latency ]; then
        options="$quick $measure"
        CLAUDE_EXEC_BENCH_PYTHON=$(tests/bench/python.sh tests/bench/requirements.txt claude_agent_sdk)
        export CLAUDE_EXEC_BENCH_PYTHON
    fi
    echo
    # shellcheck disable=SC2086 # several words on purpose
    cargo bench --quiet --package $package --bench "$name" -- $options
done
