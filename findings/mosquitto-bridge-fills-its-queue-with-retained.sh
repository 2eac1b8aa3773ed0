#!/bin/sh
# mosquitto 2.0.11: each attempt of a bridge to connect queues all that is retained once more; then new messages are thrown away.
. "$(dirname "$0")/lib/broker.sh"
debian mosquitto 2.0.11-1.2+deb12u2
debian mosquitto-clients 2.0.11-1.2+deb12u2
cat <<'TEXT'
expected  mosquitto.conf(5): with `cleansession false` a bridge's messages are queued while the other side is away, up to
          max_queued_messages. What is retained goes out once when the bridge is up, and does not pile up while it is not.
matters   A site with 20 retained states that tries every minute puts 28800 copies a day before its vehicles. The queue of
          1000 that it has unless told is full within the hour, vehicles are dropped, and the centre gets each state a
          thousand times. Here 5 states, a queue of 20 and 12 s stand for that. Ask for less often, with a longer queue.
TEXT
broker() {
    mosquitto -c "$WORK/$1" 2>/dev/null &
    BROKER=$!
    PIDS="$PIDS $BROKER"
    up "$2"
}
chmod 777 "$WORK"
seen=""
for states in 0 5; do
    site=$(free_port)
    centre=$(free_port)
    mkdir -m 777 "$WORK/centre$states"
    printf 'listener %s 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location %s/\n' \
        "$centre" "$WORK/centre$states" >"$WORK/centre"
    printf 'listener %s 127.0.0.1\nallow_anonymous true\nmax_queued_messages 20\n' "$site" >"$WORK/site"
    [ "$(id -u)" != 0 ] || echo "user root" | tee -a "$WORK/site" >>"$WORK/centre"
    printf 'connection centre\naddress 127.0.0.1:%s\ntopic lane/# out 1\ncleansession false\nrestart_timeout 1 1\nnotifications false\n' \
        "$centre" >>"$WORK/site"
    broker centre "$centre"
    FAR=$BROKER
    mosquitto_sub -p "$centre" -i reader -c -q 1 -t 'lane/#' -E
    broker site "$site"
    n=0
    while [ "$n" -lt "$states" ]; do
        n=$((n + 1))
        mosquitto_pub -p "$site" -q 1 -r -t "lane/$n/status" -m open
    done
    sleep 2
    mosquitto_sub -p "$centre" -i reader -c -q 1 -t 'lane/#' -W 1 >/dev/null 2>&1 || true
    kill "$FAR"
    wait "$FAR" 2>/dev/null || true
    sleep 12
    for n in 1 2 3 4 5; do
        mosquitto_pub -p "$site" -q 1 -t lane/1/vehicle -m 25003
    done
    broker centre "$centre"
    mosquitto_sub -p "$centre" -i reader -c -q 1 -t 'lane/#' -F '%r %t' -W 6 >"$WORK/got" 2>/dev/null || true
    few=$(grep -c '^0 lane/1/status' "$WORK/got" || true)
    [ "$few" -le 1 ] && few="at most once" || few="again and again"
    seen="$seen${seen:+; }$states states retained: $(grep -c vehicle "$WORK/got" || true) of 5 vehicles, each state $few"
done
verdict "$seen" \
    "0 states retained: 5 of 5 vehicles, each state at most once; 5 states retained: 0 of 5 vehicles, each state again and again"
