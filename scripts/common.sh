# Sourced by the scripts beside it: where we are, stage times, root rights.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -d /opt/swift/usr/bin ] && PATH="$PATH:/opt/swift/usr/bin"
export PATH

# SwiftPM links anew when any variable of its environment is another: `make` and a shell, or two shells, must not differ.
swift_build() {
    local name kept=()
    for name in HOME TMPDIR BERTH_TESTS http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY SSL_CERT_FILE; do
        [ -n "${!name:-}" ] && kept+=("$name=${!name}")
    done
    env -i PATH="$(dirname "$(command -v swift)"):/usr/local/bin:/usr/bin:/bin" LANG=C.UTF-8 "${kept[@]}" swift build "$@"
}

STAGES=()
stage() { # stage NAME COMMAND…: runs it and remembers its seconds
    local name=$1 start=$SECONDS code=0
    shift
    printf '==> %s\n' "$name"
    "$@" || code=$?
    STAGES+=("$(printf '%-28s %4d s' "$name" $((SECONDS - start)))")
    return "$code"
}
print_stages() {
    printf '\nStage                        Time\n'
    printf '%s\n' "${STAGES[@]}"
}

if [ "$(id -u)" = 0 ]; then SUDO=(); else SUDO=(sudo --preserve-env=BERTH_STATE); fi
