-- What the centre knows of a crossing beyond its messages: its name and its time zone (IANA), from its status or from
-- the collector's configuration.
CREATE TABLE site (
    country TEXT NOT NULL, port TEXT NOT NULL, timezone TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (country, port)
) {keyed};

-- For each lane and hour of local time whether its traffic was counted. `hour` is the beginning in UTC, `local_day` and
-- `local_hour` ("01:00", with its offset from UTC where a day has it twice) say it in the time of the crossing.
CREATE TABLE coverage_hourly (
    country TEXT NOT NULL, port TEXT NOT NULL, lane TEXT NOT NULL, hour TIMESTAMPTZ NOT NULL,
    local_day DATE NOT NULL, local_hour TEXT NOT NULL, direction TEXT,
    state TEXT NOT NULL CHECK (state IN ('counted', 'no_traffic', 'missing')),
    vehicles INTEGER, minutes INTEGER NOT NULL, reason TEXT,
    PRIMARY KEY (country, port, lane, hour)
) {keyed};

CREATE INDEX vehicle_received ON vehicle (received);
CREATE INDEX flow_received ON flow (received);

-- A day of waits in one statement: WHERE country = … AND port = … AND day = '2026-11-27' (UTC) ORDER BY time
CREATE VIEW wait_of_day AS
SELECT {day} AS day, country, port, lane, direction, traffic, program, time, experienced_count,
    experienced_median_s, expected_s, low_s, high_s, queue_vehicles, lower_bound, method, source
FROM wait;

CREATE VIEW vehicle_by_class AS
SELECT {day} AS day, country, port, lane, direction, class_scheme, class_code, count(*) AS vehicles,
    avg(gross_kg) AS mean_gross_kg, count(*) FILTER (WHERE violations IS NOT NULL AND CAST(violations AS TEXT) <> '[]') AS with_violation
FROM vehicle GROUP BY 1, 2, 3, 4, 5, 6, 7;

CREATE VIEW open_gap AS
SELECT topic, epoch, from_seq, to_seq, to_seq - from_seq + 1 AS messages, found, asked, asked_times
FROM gap WHERE state = 'open';
