#!/bin/sh
# Installs the packages that REQUIREMENTS pins, once, and prints the Python that has them: `python.sh REQUIREMENTS MODULE`.
# MODULE is one that must then import.
set -eu

requirements=$1 module=$2
cache=${CLAUDE_EXEC_TEST_CACHE:-$HOME/.cache/claude-exec-tests}
target=$cache/python/$(cksum <"$requirements" | cut -d ' ' -f 1)

die() {
    echo "tests/bench/python.sh: $*" >&2
    exit 1
}

if [ ! -e "$target/complete" ]; then
    echo "tests/bench/python.sh: installing $requirements into $target" >&2
    rm -rf "$target"
    mkdir -p "$cache/python"
    python3 -m venv "$target" >&2 || die "python3 -m venv does not work (on Debian: apt install python3-venv)"
    "$target/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
        --requirement "$requirements" >&2 || die "pip could not install $requirements"
    "$target/bin/python" -c "import $module" >&2 || die "the package $module does not import"
    touch "$target/complete"
fi
printf '%s\n' "$target/bin/python"
