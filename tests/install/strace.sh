# shellcheck shell=bash
# strace, which shows that a program opens no socket and writes no file: from the distribution, where that is allowed.
if ! command -v strace >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing strace"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq strace >/dev/null 2>&1 ||
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq strace; } >/dev/null 2>&1 ||
        say "strace cannot be installed here"
fi
