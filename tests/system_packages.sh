#!/bin/sh
# Installs the Debian packages that tests use, where this user may; tests that miss one are skipped and say so.
missing=""
command -v mosquitto >/dev/null 2>&1 || [ -x /usr/sbin/mosquitto ] || missing="$missing mosquitto"
command -v mosquitto_pub >/dev/null 2>&1 || missing="$missing mosquitto-clients"
command -v socat >/dev/null 2>&1 || missing="$missing socat"
command -v mbpoll >/dev/null 2>&1 || missing="$missing mbpoll"
command -v gpsd >/dev/null 2>&1 || [ -x /usr/sbin/gpsd ] || missing="$missing gpsd"
command -v ser2net >/dev/null 2>&1 || [ -x /usr/sbin/ser2net ] || missing="$missing ser2net"
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v chromedriver >/dev/null 2>&1 || missing="$missing chromium-driver"
command -v promtool >/dev/null 2>&1 || missing="$missing prometheus"
command -v systemd-analyze >/dev/null 2>&1 || missing="$missing systemd"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
for package in "$@"; do
    [ -x "/usr/sbin/$package" ] || dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
sudo=""
[ "$(id -u)" = 0 ] || { sudo="sudo -n"; $sudo true 2>/dev/null || { echo "not installed:$missing (no right to install)" >&2; exit 0; }; }
export DEBIAN_FRONTEND=noninteractive
# A broker that only tests need is not started as a service.
$sudo apt-get update -qq && $sudo env RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $missing >/dev/null
