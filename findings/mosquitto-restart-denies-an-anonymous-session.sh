#!/bin/sh
# mosquitto 2.0.11 with an acl_file: after a restart nothing is queued for the session of a nameless client until it is back.
. "$(dirname "$0")/lib/broker.sh"
debian mosquitto 2.0.11-1.2+deb12u2
debian mosquitto-clients 2.0.11-1.2+deb12u2
cat <<'TEXT'
expected  mosquitto.conf(5): the topics before the first `user` line of an acl_file are for clients without a name, and
          `persistence true` keeps sessions over a restart. So what is published for one is queued, as it was before.
matters   On a site's broker that only the machines of the site reach, clients have no names. The broker is updated in the
          night while the recorder is off: what the lanes publish until the recorder is back is acknowledged and thrown
          away, though what was queued before the restart arrives. Without the acl_file, or with names, all of it does.
TEXT
sub() {
    mosquitto_sub -p "$port" -i recorder -c -q 1 -t lane $names "$@" 2>/dev/null || true
}
pub() {
    mosquitto_pub -p "$port" -q 1 -t lane -m "$1" $names
}
broker() {
    mosquitto -c "$WORK/conf" 2>/dev/null &
    BROKER=$!
    PIDS="$PIDS $BROKER"
    up "$port"
}
touch "$WORK/passwords"
mosquitto_passwd -b "$WORK/passwords" crossing secret 2>/dev/null
printf 'topic readwrite lane\nuser crossing\ntopic readwrite lane\n' >"$WORK/acl"
seen=""
for case in nameless-without-acl named-with-acl nameless-with-acl; do
    port=$(free_port)
    mkdir "$WORK/$case"
    chmod 777 "$WORK" "$WORK/$case"
    printf 'listener %s 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s/\n' \
        "$port" "$WORK/$case" >"$WORK/conf"
    [ "$(id -u)" != 0 ] || echo "user root" >>"$WORK/conf"
    case $case in *with-acl) echo "acl_file $WORK/acl" >>"$WORK/conf" ;; esac
    names=""
    case $case in named*) names="-u crossing -P secret" && echo "password_file $WORK/passwords" >>"$WORK/conf" ;; esac
    broker
    sub -E
    pub before
    kill "$BROKER"
    wait "$BROKER" 2>/dev/null || true
    broker
    pub away
    sub -W 2 >"$WORK/got" &
    READER=$!
    sleep 1
    pub live
    wait "$READER" || true
    seen="$seen${seen:+; }$case: $(tr '\n' ' ' <"$WORK/got" | sed "s, $,,")"
done
verdict "$seen" \
    "nameless-without-acl: before away live; named-with-acl: before away live; nameless-with-acl: before live"
