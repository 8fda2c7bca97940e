# shellcheck shell=bash
# nginx, for the streams through a proxy. Only root of a Debian can install it; elsewhere the test leaves itself out.
if [ ! -x /usr/sbin/nginx ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    say "installing nginx-light"
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends nginx-light >/dev/null 2>&1 9>&- ||
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends nginx-light; } \
            >/dev/null 2>&1 9>&- || say "apt-get could not install nginx-light"
fi
