#!/bin/sh
# The suite on Python 3.13: with a python3.13 on the path, else, as root, in a root of Debian 13 that debootstrap makes.
# Words are handed to pytest; without them it is `make test`.
set -eu
cd "$(dirname "$0")/.."
suite="make test VENV=.venv-3.13 WORKERS=${WORKERS:-5}"
[ $# = 0 ] || suite="make setup VENV=.venv-3.13 && .venv-3.13/bin/python -m pytest -n ${WORKERS:-5} --reruns 1 $*"
if python3.13 -c "" 2>/dev/null; then
    exec env PYTHON=python3.13 sh -ec "$suite"
fi
root=${BORDERFLOW_ROOTS:-/var/cache/borderflow-roots}/trixie-tests
if [ ! -e "$root/made" ]; then
    mkdir -p "$root"
    debootstrap --variant=minbase \
        --include=python3,python3-venv,python3-dev,gcc,libc6-dev,make,git,ca-certificates,procps,iproute2,man-db \
        trixie "$root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >/dev/null
    touch "$root/made"
fi
# The sources as they are now; the environment in the root is kept from run to run.
mkdir -p "$root/src"
find "$root/src" -mindepth 1 -maxdepth 1 ! -name .venv-3.13 -exec rm -rf {} +
git ls-files -z --cached --others --exclude-standard | tar -c --null --ignore-failed-read -T - 2>/dev/null | tar -x -C "$root/src"
certificates=/etc/ssl/certs/ca-certificates.crt # of this machine, which may stand behind a proxy
exec systemd-nspawn -q --register=no --keep-unit -D "$root" --chdir=/src --bind-ro="${SSL_CERT_FILE:-$certificates}:$certificates" \
    --setenv=PYTHON=python3.13 --setenv=PIP_CERT=$certificates --setenv=LANG=C.UTF-8 sh -ec "$suite"
