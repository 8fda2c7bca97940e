#!/usr/bin/env bash
# Runs every test there is, those included that a plain `cargo test` leaves out because they need the real CLI or a
# real client. Installs what is missing, once per machine. Ends with what did not run and why.
#
#   tests/run.sh                  everything
#   tests/run.sh -E 'test(sse)'   what cargo-nextest's filter picks
#
# Needs cargo, npm and python3 (3.10 or later). Nothing here needs an account, and no test talks to anything but
# this machine. cargo-nextest is used when it is there.
set -euo pipefail
shopt -s inherit_errexit 2>/dev/null || true # a newer bash: $(…) stops at an error too
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cache=${CLAUDE_EXEC_TEST_CACHE:-$HOME/.cache/claude-exec-tests}

say() { printf 'tests/run.sh: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}

for tool in cargo npm python3; do
    command -v "$tool" >/dev/null || die "$tool is not installed"
done

left_out=$(mktemp)
matrix=$(mktemp)
log=$(mktemp)
trap 'rm -f "$left_out" "$matrix" "$log"' EXIT
export CLAUDE_EXEC_TEST_LEFT_OUT=$left_out CLAUDE_EXEC_TEST_MATRIX=$matrix
# Notes what cannot run here, and why: it is counted at the end.
leave_out() { printf '%s\n' "$*" >>"$left_out"; }

# One clone installs, the others wait and then find it there.
mkdir -p "$cache"
if command -v flock >/dev/null; then
    exec 9>"$cache/lock"
    flock 9
fi
# Each installs one thing, and tells the tests where it is by a variable CLAUDE_EXEC_TEST_….
for part in tests/install/*.sh; do
    # shellcheck source=/dev/null
    . "$part"
done
exec 9>&-

# No credential and no setting of this shell reaches a test.
for name in $(compgen -e); do
    case $name in
    CLAUDE_EXEC_TEST_*) ;;
    ANTHROPIC_* | CLAUDE* | OPENAI_* | API_BEARER_TOKEN) unset "$name" ;;
    esac
done

failed=0
# The tests start the server and the fake CLI as programs, and nextest builds no examples by itself.
cargo build --workspace --all-features --bins --examples
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --workspace --all-features --lib --bins --tests --examples --run-ignored all --no-fail-fast "$@" 2>&1 | tee "$log" || failed=1
    not_run=$(sed -nE 's/.*Summary .* ([0-9]+) skipped.*/\1/p' "$log" | tail -n 1)
else
    say "cargo-nextest is not installed: using cargo test"
    [ $# -eq 0 ] || die "a filter needs cargo-nextest"
    cargo test --workspace --all-features --no-fail-fast --lib --bins --tests --examples -- --include-ignored 2>&1 |
        tee "$log" || failed=1
    not_run=$(sed -nE 's/^test result: .* ([0-9]+) ignored;.* ([0-9]+) filtered out.*/\1 \2/p' "$log" |
        awk '{ n += $1 + $2 } END { print n + 0 }')
fi
doc_not_run=0
if [ $# -eq 0 ]; then
    cargo test --workspace --all-features --no-fail-fast --doc 2>&1 | tee "$log" || failed=1
    doc_not_run=$(sed -nE 's/^test result: .* ([0-9]+) ignored;.*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
fi

if [ -s "$matrix" ]; then
    say "clients that drove the server: name, version, cases passed"
    sort -u "$matrix" | awk -F '\t' '{ printf "  %-22s %-10s %s\n", $1, $2, $3 }' >&2
fi
# A test that found that it cannot run here says so in this file, and passes.
excused=$(sort -u "$left_out" | wc -l)
say "did not run: ${not_run:-?} tests, $doc_not_run doc tests; $excused ran but left something out"
sort -u "$left_out" | sed 's/^/  /' >&2
if [ $# -gt 0 ]; then
    say "a filter was given: what it left out is counted above, doc tests were not run"
fi
[ "$failed" -eq 0 ] || die "FAILED"
say "ok"
