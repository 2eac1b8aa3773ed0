#!/bin/sh
# DuckDB 2.0.1 infers JSON types from the first 20,480 rows: what comes later is read as NULL or rounded, without an error.
. "$(dirname "$0")/lib/broker.sh"
python3 -m venv "$WORK/venv"
"$WORK/venv/bin/pip" install -q --disable-pip-version-check duckdb==2.0.1
echo "library   duckdb 2.0.1 (PyPI)"
cat <<'TEXT'
expected  read_json() of lines that are all valid gives every value, or an error for one that does not fit the type it
          inferred.
matters   A lane that says `expected_s: null` for the first two weeks (no reader yet) and figures after it gives a table
          without one wait; weights of whole kilograms first, then tenths, lose the tenths. Nobody is told. Give
          `columns = {...}`.
TEXT
cat >"$WORK/ask.py" <<'PYTHON'
import json
import sys

import duckdb

path = f"{sys.argv[1]}/lane.jsonl"
with open(path, "w") as file:
    for n in range(30_000):
        late = n >= 25_000
        row = {"seq": n, "expected_s": 600.5 if late else None, "gross_kg": 5000.7 if late else 5000}
        file.write(json.dumps(row) + "\n")
asked = "count(expected_s), max(gross_kg)"
guessed = duckdb.sql(f"SELECT {asked} FROM read_json('{path}')").fetchall()[0]
columns = "{seq: 'BIGINT', expected_s: 'DOUBLE', gross_kg: 'DOUBLE'}"
told = duckdb.sql(f"SELECT {asked} FROM read_json('{path}', columns = {columns})").fetchall()[0]
print(f"guessed {guessed[0]} waits, heaviest {guessed[1]}; told the columns {told[0]} waits, heaviest {told[1]}")
PYTHON
verdict "$("$WORK/venv/bin/python" "$WORK/ask.py" "$WORK")" \
    "guessed 0 waits, heaviest 5001; told the columns 5000 waits, heaviest 5000.7"
