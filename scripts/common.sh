# Sourced by the scripts beside it: where we are, stage times, root rights.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -d /opt/swift/usr/bin ] && PATH="$PATH:/opt/swift/usr/bin"
export PATH

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
