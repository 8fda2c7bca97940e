# Chromium and what drives it, pinned by tests/clients/browser/package-lock.json: CLAUDE_EXEC_TEST_CHROMIUM and
# CLAUDE_EXEC_TEST_BROWSER, both unset when there is no browser.
# shellcheck shell=bash

find_chromium() {
    command -v chromium || command -v chromium-browser || command -v google-chrome
}

install_browser() {
    local source=tests/clients/browser target
    target=$cache/browser-$(cksum <"$source/package-lock.json" | cut -d ' ' -f 1)
    if [ ! -e "$target/complete" ]; then
        say "installing playwright-core, axe-core and typescript into $target"
        rm -rf "$target"
        mkdir -p "$target"
        cp "$source/package.json" "$source/package-lock.json" "$target/"
        # No script of a package is run, and no browser is downloaded: Chromium is the system's.
        npm ci --prefix "$target" --ignore-scripts --no-audit --no-fund --loglevel=error >&2 ||
            die "npm could not install $source/package-lock.json"
        touch "$target/complete"
    fi
    # A run by hand, without the variables, finds the newest one here.
    ln -sfn "$target" "$cache/browser"
    printf '%s\n' "$target"
}

if ! find_chromium >/dev/null && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    say "installing Chromium with apt-get"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } >&2 ||
        say "apt-get could not install chromium"
fi
if find_chromium >/dev/null; then
    CLAUDE_EXEC_TEST_CHROMIUM=${CLAUDE_EXEC_TEST_CHROMIUM:-$(find_chromium)}
    CLAUDE_EXEC_TEST_BROWSER=${CLAUDE_EXEC_TEST_BROWSER:-$(install_browser)}
    export CLAUDE_EXEC_TEST_CHROMIUM CLAUDE_EXEC_TEST_BROWSER
    say "Chromium $CLAUDE_EXEC_TEST_CHROMIUM"
else
    say "NO BROWSER: the page is not tested (on Debian: apt install chromium)"
fi
