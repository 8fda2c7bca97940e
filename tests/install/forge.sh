# shellcheck shell=bash
# GitHub with a memory (npm's emulate: CLAUDE_EXEC_TEST_EMULATE, a folder of modules), and a judge of what services are
# sent (Prism: CLAUDE_EXEC_TEST_PRISM, a folder of modules) by GitHub's, Forgejo's and Gitea's own descriptions of their
# APIs, the parts that are used: CLAUDE_EXEC_TEST_OPENAPI has github.json, forgejo.json and gitea.json. The descriptions
# come with packages that are made from them. Needs the Node.js of clients.sh.

forge_source=tests/clients/forge
github_openapi=@octokit/openapi@23.0.2
forgejo_openapi=forgejo-api@0.12.0
gitea_openapi=gitea-sdk@0.6.3

forge_npm() {
    "$CLAUDE_EXEC_TEST_NODE" "$(dirname "$CLAUDE_EXEC_TEST_NODE")/../lib/node_modules/npm/bin/npm-cli.js" "$@"
}

# A file of a crate: cargo unpacks a crate to tell about it, and builds nothing.
crate_file() {
    cargo info --quiet "$1" >/dev/null 2>&1 </dev/null || die "cargo could not get $1"
    local found
    found=$(find "${CARGO_HOME:-$HOME/.cargo}/registry/src" -maxdepth 3 -path "*/${1/@/-}/$2" | head -n 1)
    [ -n "$found" ] || die "$1 has no $2"
    printf '%s\n' "$found"
}

install_forge() {
    local target part repo='/repos/{owner}/{repo}'
    target=$cache/forge/$(cat "$forge_source"/{package.json,package-lock.json,subset.mjs} tests/install/forge.sh | cksum | cut -d ' ' -f 1)
    if [ ! -e "$target/complete" ]; then
        say "installing emulate, Prism and the descriptions of three APIs (about 100 MB) into $target"
        rm -rf "$target"
        mkdir -p "$target"
        cp "$forge_source"/package{,-lock}.json "$target/"
        forge_npm ci --prefix "$target" --ignore-scripts --no-audit --no-fund --loglevel=error >&2 ||
            die "npm could not install $forge_source/package-lock.json"
        part() { "$CLAUDE_EXEC_TEST_NODE" "$forge_source/subset.mjs" "$@" >&2 || die "subset.mjs failed"; }
        # The package has seven descriptions, and only one of them is kept.
        (cd "$target" && forge_npm pack --silent --ignore-scripts "$github_openapi") >/dev/null || die "npm could not get $github_openapi"
        tar -xzf "$target"/octokit-openapi-*.tgz -C "$target" package/generated/api.github.com.json
        part "$target/package/generated/api.github.com.json" "$target/github.json" /user "$repo=" "$repo"/{issues,labels,collaborators,commits,check-runs,actions/runs,branches,rules,deployments,statuses}
        rm -r "$target/package" "$target"/octokit-openapi-*.tgz
        part "$(crate_file "$forgejo_openapi" swagger.v1.json)" "$target/forgejo.json" /user "$repo" '/orgs/{org}/labels'
        part "$(crate_file "$gitea_openapi" swagger.json)" "$target/gitea.json" /user "$repo" '/orgs/{org}/labels'
        touch "$target/complete"
    fi
    printf '%s\n' "$target"
}

forge_home=$(install_forge)
CLAUDE_EXEC_TEST_EMULATE=${CLAUDE_EXEC_TEST_EMULATE:-$forge_home/node_modules}
CLAUDE_EXEC_TEST_PRISM=${CLAUDE_EXEC_TEST_PRISM:-$forge_home/node_modules}
CLAUDE_EXEC_TEST_OPENAPI=${CLAUDE_EXEC_TEST_OPENAPI:-$forge_home}
[ -d "$CLAUDE_EXEC_TEST_EMULATE/emulate" ] || die "no emulate in $CLAUDE_EXEC_TEST_EMULATE"
export CLAUDE_EXEC_TEST_EMULATE CLAUDE_EXEC_TEST_PRISM CLAUDE_EXEC_TEST_OPENAPI
say "emulate and Prism $forge_home"
