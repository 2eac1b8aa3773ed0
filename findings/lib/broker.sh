# Sourced by the findings about brokers: a temporary folder that goes away, pinned packages, a free port, a Python with paho.
# Broker and client run on loopback, as whoever calls, and nothing else is started.
set -eu
WORK=$(mktemp -d)
PIDS=""
cleanup() {
    for pid in $PIDS; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$WORK"
}
trap cleanup EXIT

# debian NAME VERSION: the package, installed if it is not there; no service is started.
debian() {
    [ "$(dpkg-query -W -f '${Version}' "$1" 2>/dev/null || true)" = "$2" ] ||
        RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1=$2" >/dev/null
    echo "package   $1 $2 (Debian 12)"
}

# client: $PY is a Python with paho-mqtt, in the temporary folder.
client() {
    python3 -m venv "$WORK/venv"
    "$WORK/venv/bin/pip" install -q --disable-pip-version-check paho-mqtt==2.2.0
    PY="$WORK/venv/bin/python"
    echo "client    paho-mqtt 2.2.0 (PyPI)"
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# up PORT: waits until something listens there.
up() {
    python3 - "$1" <<'PYTHON'
import socket, sys, time
for _ in range(900):
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", int(sys.argv[1]))) == 0:
            sys.exit(0)
    time.sleep(0.1)
sys.exit("nothing listens")
PYTHON
}

# verdict SEEN EXPECTED-TO-BE-SEEN: ends the finding.
verdict() {
    echo "seen      $1"
    if [ "$1" = "$2" ]; then
        echo "verdict   still so"
    else
        echo "verdict   changed: it was: $2"
        exit 1
    fi
}
