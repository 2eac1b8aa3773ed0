#!/bin/sh
# DuckDB 2.0.1: where clocks go back, date_trunc('hour', ...) moves the first of the two hours from 1 to 2 into the second.
. "$(dirname "$0")/lib/broker.sh"
python3 -m venv "$WORK/venv"
"$WORK/venv/bin/pip" install -q --disable-pip-version-check duckdb==2.0.1
echo "library   duckdb 2.0.1 (PyPI)"
cat <<'TEXT'
expected  A TIMESTAMPTZ is a point in time; truncated to the hour it is not later than itself, and an hour holds 60 minutes.
          time_bucket() of DuckDB and date_trunc() of PostgreSQL do so on the night when clocks go back.
matters   GROUP BY date_trunc('hour', time) with the time zone of the crossing gives the night of the change an hour
          without a vehicle and one with twice as many; the peak of the year stands at 1 o'clock of a Sunday in November.
TEXT
cat >"$WORK/ask.py" <<'PYTHON'
import duckdb

duckdb.sql("SET TimeZone = 'America/Toronto'")
duckdb.sql(
    "CREATE TABLE vehicle AS SELECT unnest(generate_series("
    "TIMESTAMPTZ '2026-11-01 04:00:00+00', TIMESTAMPTZ '2026-11-01 07:59:00+00', INTERVAL 1 MINUTE)) AS time"
)
words = []
for hour in ("time_bucket(INTERVAL 1 HOUR, time)", "date_trunc('hour', time)"):
    rows = duckdb.sql(
        f"SELECT strftime(to_timestamp(epoch({hour})) AT TIME ZONE 'UTC', '%H'), count(*) "
        "FROM vehicle GROUP BY 1 ORDER BY 1"
    ).fetchall()
    words.append(f"{hour.split('(')[0]}: " + ", ".join(f"{count} at {utc}Z" for utc, count in rows))
print("; ".join(words))
PYTHON
verdict "$("$WORK/venv/bin/python" "$WORK/ask.py")" \
    "time_bucket: 60 at 04Z, 60 at 05Z, 60 at 06Z, 60 at 07Z; date_trunc: 60 at 04Z, 120 at 06Z, 60 at 07Z"
