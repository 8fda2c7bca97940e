# shellcheck shell=bash
# bubblewrap, which keeps the unattended agent in. Only root of a Debian can install it; elsewhere the test says so.
if ! command -v bwrap >/dev/null && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    say "installing bubblewrap"
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends bubblewrap >/dev/null 2>&1 9>&- ||
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends bubblewrap; } \
            >/dev/null 2>&1 9>&- || say "apt-get could not install bubblewrap"
fi
