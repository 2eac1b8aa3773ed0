# Sourced after broker.sh: a RabbitMQ 3.10.8 node with its MQTT plugin on 127.0.0.1:$PORT; the user guest may do anything.
debian rabbitmq-server 3.10.8-1.1+deb12u1
PORT=$(free_port)
EPMD=$(free_port)
printf '[rabbitmq_mqtt].\n' >"$WORK/plugins"
cat >"$WORK/rabbitmq.conf" <<CONF
listeners.tcp = none
mqtt.listeners.tcp.1 = 127.0.0.1:$PORT
mqtt.allow_anonymous = true
mqtt.default_user = guest
mqtt.default_pass = guest
CONF
export HOME="$WORK" ERL_EPMD_PORT="$EPMD" ERL_EPMD_RELAXED_COMMAND_CHECK=1
export RABBITMQ_NODENAME="finding$PORT@localhost" RABBITMQ_MNESIA_BASE="$WORK/mnesia" RABBITMQ_LOG_BASE="$WORK/log"
export RABBITMQ_CONFIG_FILE="$WORK/rabbitmq" RABBITMQ_ENABLED_PLUGINS_FILE="$WORK/plugins" RABBITMQ_PID_FILE="$WORK/pid"
RABBITMQ_DIST_PORT=$(free_port)
export RABBITMQ_DIST_PORT
setsid /usr/lib/rabbitmq/bin/rabbitmq-server >"$WORK/output" 2>&1 &
PIDS="$PIDS -$!"
up "$PORT"
# Erlang's port mapper outlives the node
trap 'for pid in $PIDS; do kill -- "$pid" 2>/dev/null || true; done; sleep 2; epmd -kill >/dev/null 2>&1 || true; rm -rf "$WORK"' EXIT
