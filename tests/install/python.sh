# The Python clients, pinned by their requirements: CLAUDE_EXEC_TEST_PYTHON.
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
