#!/bin/sh
# DuckDB 2.0.1 casts the text of a CSV file, not the value of the column: '0453' declared as a number is '0453' again as text.
. "$(dirname "$0")/lib/broker.sh"
cat <<'TEXT'
expected  read_csv(types = ...) gives a column that type; a cast of it starts from the value, so INTEGER 453 is the text
          '453', TIMESTAMP has one way to be written, TRUE is 1 as a number. It was so in 1.5.2.
matters   A day file in which one computer wrote 2026-11-24T05:22:17Z and another 2026-11-24 05:22:17 gives two texts for
          one time, and keys that are put together as text do not meet those of the table, while count(DISTINCT ...) of the
          same words says that they do. A flag cast to a number, to count it, ends the query. Load the file first.
TEXT
cat >"$WORK/ask.py" <<'PYTHON'
import sys

import duckdb

path = f"{sys.argv[1]}/day.csv"
with open(path, "w") as file:
    file.write("port,time,stopped\n0453,2026-11-24T05:22:17Z,true\n453,2026-11-24 05:22:17,false\n")
source = f"read_csv('{path}', types = {{port: 'INTEGER', time: 'TIMESTAMP', stopped: 'BOOLEAN'}})"


def ask(words, table=source):
    try:
        return str(duckdb.sql(f"SELECT {words} FROM {table}").fetchall())
    except duckdb.ConversionException:
        return "an error"


duckdb.sql(f"CREATE TABLE day AS FROM {source}")
found = []
for words in ("port::VARCHAR", "time::VARCHAR", "stopped::INTEGER", "count(DISTINCT port::VARCHAR)"):
    now = ask(words)
    if now != ask(words, "day"):
        found.append(f"{words} {now}")
print(f"{duckdb.__version__}: {'; '.join(found) or 'all as from a table'}")
PYTHON
for version in 1.5.2 2.0.1; do
    python3 -m venv "$WORK/$version"
    "$WORK/$version/bin/pip" install -q --disable-pip-version-check "duckdb==$version"
    echo "library   duckdb $version (PyPI)"
done
verdict "$("$WORK/1.5.2/bin/python" "$WORK/ask.py" "$WORK") | $("$WORK/2.0.1/bin/python" "$WORK/ask.py" "$WORK")" \
    "1.5.2: all as from a table | 2.0.1: port::VARCHAR [('0453',), ('453',)]; \
time::VARCHAR [('2026-11-24T05:22:17Z',), ('2026-11-24 05:22:17',)]; stopped::INTEGER an error"
