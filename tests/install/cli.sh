# The Claude Code CLI, pinned: CLAUDE_EXEC_TEST_CLI.
# shellcheck shell=bash

cli_version=2.1.330

# The binary of the installed CLI, if it is there and of the right version.
cli_in() {
    local binary
    for binary in "$1"/node_modules/@anthropic-ai/claude-code-*/claude; do
        if [ "$("$binary" --version 2>/dev/null)" = "$cli_version (Claude Code)" ]; then
            printf '%s\n' "$binary"
            return
        fi
    done
    return 1
}

install_cli() {
    local target=$cache/cli/$cli_version staging
    cli_in "$target" && return
    say "installing the Claude Code CLI $cli_version (about 240 MB) into $target"
    staging=$(mktemp -d "$cache/cli.XXXXXX")
    # The binary comes with the platform's own package; no script of the package is run.
    npm install --prefix "$staging" --ignore-scripts --no-audit --no-fund --loglevel=error \
        "@anthropic-ai/claude-code@$cli_version" >&2 || {
        rm -rf "$staging"
        die "npm could not install the CLI"
    }
    cli_in "$staging" >/dev/null || {
        rm -rf "$staging"
        die "npm installed no CLI that runs here: is there a package for this platform?"
    }
    mkdir -p "$cache/cli"
    rm -rf "$target"
    mv "$staging" "$target"
    cli_in "$target"
}

CLAUDE_EXEC_TEST_CLI=${CLAUDE_EXEC_TEST_CLI:-$(install_cli)}
[ -x "$CLAUDE_EXEC_TEST_CLI" ] || die "no CLI at $CLAUDE_EXEC_TEST_CLI"
export CLAUDE_EXEC_TEST_CLI
say "CLI $CLAUDE_EXEC_TEST_CLI"
