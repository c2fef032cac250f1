# Sourced by dev/up, dev/test and dev/bench: checks the machine and makes .venv. Needs python3 and a POSIX userland.
# shellcheck shell=bash
#
# .venv/.installed holds what is installed, one "<set> <checksum>" a line; a start that finds its own line installs
# nothing. The dev set contains the runtime set with the same pins, so dev/up leaves a dev environment as it is.

set -euo pipefail

GREENROOM_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
MIN_FREE_KB=$((2 * 1024 * 1024))
UV_VERSION=0.13.9

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "greenroom: $*"
    exit 1
}

# Print the path of the first Python that is new enough; PYTHON names one to use instead.
find_python() {
    local candidate found=""
    for candidate in ${GREENROOM_PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
        found="$found$("$candidate" -c 'import sys; print(" " + sys.executable, sys.version.split()[0], end=";")' 2>/dev/null || true)"
    done
    if [ -n "$found" ]; then
        fail "Python 3.11 or later is needed, found only:${found%;}. Install a newer one, or name it in GREENROOM_PYTHON."
    fi
    fail "no Python found. Install Python 3.11 or later, or name it in GREENROOM_PYTHON."
}

check_disk() {
    local free_kb
    free_kb=$(df -Pk "$GREENROOM_ROOT" | awk 'NR == 2 { print $4 }')
    if [ "${free_kb:-0}" -lt "$MIN_FREE_KB" ]; then
        fail "only $((free_kb / 1024)) MB are free on the disk of $GREENROOM_ROOT; 2 GB are needed."
    fi
}

# check_port <python> <port>
check_port() {
    case "$2" in
        "" | *[!0-9]*) fail "GREENROOM_HTTP_PORT must be a port number, not '$2'." ;;
    esac
    "$1" - "$2" <<'PYTHON' || fail "port $2 is in use by another program. Stop it, or choose another: GREENROOM_HTTP_PORT=8001 dev/up"
import socket, sys
with socket.socket() as probe:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("127.0.0.1", int(sys.argv[1])))
    except OSError:
        sys.exit(1)
PYTHON
}

# Of the locks given and of what pyproject.toml says about the project; its tool sections do not matter here.
checksum() { { cat "$@" && sed '/^\[tool\./,$d' pyproject.toml; } | cksum | tr ' ' '-'; }

is_installed() { grep -qxF "$1" .venv/.installed 2>/dev/null; }

no_network() {
    fail "installing failed (see above). If the package index cannot be reached, check the network, or the proxy and index settings of pip and uv, and start again."
}

# Make .venv with the wanted set, runtime or dev, and in it the image that code nodes run in.
prepare() {
    make_environment "$1"
    build_sandbox
}

build_sandbox() {
    if .venv/bin/python -c 'import sys; from effects.code_sandbox.image import is_built; sys.exit(not is_built())'; then
        return
    fi
    say "greenroom: building the code sandbox (half a minute, once)"
    .venv/bin/greenroom sandbox build >&2 || say "greenroom: going on without it; everything else works"
}

make_environment() {
    local wanted=$1 python lock runtime_line dev_line
    cd "$GREENROOM_ROOT"
    python=$(find_python)
    runtime_line="runtime $(checksum requirements.lock requirements-local.lock)"
    dev_line="dev $(checksum requirements-dev.lock requirements-local.lock)"
    if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        check_disk
        say "greenroom: making .venv with $python"
        rm -rf .venv
        "$python" -m venv .venv || fail "$python cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"
    fi
    if [ "$wanted" = dev ]; then
        is_installed "$dev_line" && return
        lock=requirements-dev.lock
    else
        is_installed "$runtime_line" && return
        lock=requirements.lock
        # A dev environment is brought up to date as one, never cut down to the runtime set.
        if [ -e .venv/bin/pytest ]; then
            wanted=dev
            lock=requirements-dev.lock
        fi
    fi
    check_disk
    say "greenroom: installing the $wanted set into .venv (a minute or two the first time)"
    rm -f .venv/.installed
    if [ "$(.venv/bin/uv --version 2>/dev/null | cut -d ' ' -f 2)" != "$UV_VERSION" ]; then
        .venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION" || no_network
    fi
    # Compiled now, a quarter of a minute: a process that has to compile needs 1.5 CPU seconds more to start, each time
    # where it may not write what it compiled.
    VIRTUAL_ENV="$GREENROOM_ROOT/.venv" .venv/bin/uv pip sync --quiet --compile-bytecode --require-hashes \
        "$lock" requirements-local.lock || no_network
    # The dev lock pins and hashes the build back end.
    VIRTUAL_ENV="$GREENROOM_ROOT/.venv" .venv/bin/uv pip install --quiet --no-deps \
        --build-constraints requirements-dev.lock --editable . || no_network
    printf '%s\n' "$runtime_line" >.venv/.installed
    if [ "$wanted" = dev ]; then
        printf '%s\n' "$dev_line" >>.venv/.installed
    fi
}
