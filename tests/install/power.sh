# shellcheck shell=bash
# A real sshd and a real QEMU for the power verbs. Only root of a Debian can install them; elsewhere the tests leave
# themselves out and say so.
install_debian() { # package, the program that it brings
    [ -x "$2" ] && return
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        return # the test says that it is missing
    fi
    say "installing $1"
    # What a package starts must not keep the lock of this script.
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$1" >/dev/null 2>&1 9>&- ||
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$1"; } \
            >/dev/null 2>&1 9>&- || say "apt-get could not install $1"
}

install_debian openssh-server /usr/sbin/sshd
install_debian qemu-system-x86 /usr/bin/qemu-system-x86_64
