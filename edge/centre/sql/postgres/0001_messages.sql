-- A table for each kind of message; the columns of a kind are those of edge/centre/columns.py. A table has a partition for
-- each month (UTC) of `time`. Lists and maps are JSON; `body` is JSON and not JSONB, which would not keep the bytes that a
-- signature is about. What a message does not say is null.
--
-- Who wants to write takes the numbers first: a number is in `number` once, whichever process brought it, and only who put
-- it there writes the row. So several collectors may share one feed, and (topic, epoch, seq) is the identity of a row over
-- all partitions.

CREATE TABLE vehicle (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, seq BIGINT NOT NULL, id TEXT, time TIMESTAMPTZ NOT NULL,
    country TEXT NOT NULL, port TEXT NOT NULL, source TEXT NOT NULL, lane TEXT NOT NULL, config TEXT, calibration TEXT,
    received TIMESTAMPTZ NOT NULL, body JSON NOT NULL,
    direction TEXT,
    speed_mps DOUBLE PRECISION,
    length_m DOUBLE PRECISION,
    wheelbase_m DOUBLE PRECISION,
    height_m DOUBLE PRECISION,
    lateral_m DOUBLE PRECISION,
    gross_kg DOUBLE PRECISION,
    gross_sigma_kg DOUBLE PRECISION,
    class_scheme TEXT,
    class_code TEXT,
    class_confidence DOUBLE PRECISION,
    flags JSON,
    identities JSON,
    violations JSON,
    esal DOUBLE PRECISION,
    PRIMARY KEY (topic, epoch, seq, time)
) PARTITION BY RANGE (time);
CREATE INDEX vehicle_time ON vehicle (country, port, time);

-- axle {n} of the vehicle of the same topic, epoch and seq; n counts from 0 at the front
CREATE TABLE axle (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, seq BIGINT NOT NULL, n INTEGER NOT NULL, time TIMESTAMPTZ NOT NULL,
    position_m DOUBLE PRECISION,
    position_sigma_m DOUBLE PRECISION,
    load_kg DOUBLE PRECISION,
    sigma_kg DOUBLE PRECISION,
    left_kg DOUBLE PRECISION,
    right_kg DOUBLE PRECISION,
    dual_tyres BOOLEAN,
    axle_group INTEGER,
    PRIMARY KEY (topic, epoch, seq, n, time)
) PARTITION BY RANGE (time);

CREATE TABLE sighting (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, seq BIGINT NOT NULL, id TEXT, time TIMESTAMPTZ NOT NULL,
    country TEXT NOT NULL, port TEXT NOT NULL, source TEXT NOT NULL, lane TEXT NOT NULL, config TEXT, calibration TEXT,
    received TIMESTAMPTZ NOT NULL, body JSON NOT NULL,
    point TEXT,
    medium TEXT,
    pseudonym TEXT,
    confidence DOUBLE PRECISION,
    PRIMARY KEY (topic, epoch, seq, time)
) PARTITION BY RANGE (time);
CREATE INDEX sighting_time ON sighting (country, port, time);

CREATE TABLE wait (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, seq BIGINT NOT NULL, id TEXT, time TIMESTAMPTZ NOT NULL,
    country TEXT NOT NULL, port TEXT NOT NULL, source TEXT NOT NULL, lane TEXT NOT NULL, config TEXT, calibration TEXT,
    received TIMESTAMPTZ NOT NULL, body JSON NOT NULL,
    direction TEXT,
    traffic TEXT,
    program TEXT,
    from_point TEXT,
    to_point TEXT,
    interval_s INTEGER,
    experienced_count INTEGER,
    experienced_median_s DOUBLE PRECISION,
    experienced_p10_s DOUBLE PRECISION,
    experienced_p90_s DOUBLE PRECISION,
    experienced_p95_s DOUBLE PRECISION,
    expected_s DOUBLE PRECISION,
    low_s DOUBLE PRECISION,
    high_s DOUBLE PRECISION,
    queue_vehicles DOUBLE PRECISION,
    throughput_per_h DOUBLE PRECISION,
    lower_bound BOOLEAN,
    method TEXT,
    match_rate DOUBLE PRECISION,
    reference_s DOUBLE PRECISION,
    change DOUBLE PRECISION,
    bottleneck_from_point TEXT,
    bottleneck_to_point TEXT,
    bottleneck_delay_s DOUBLE PRECISION,
    bottleneck_share DOUBLE PRECISION,
    booths_open INTEGER,
    one_more_booth_s DOUBLE PRECISION,
    planning_time_s DOUBLE PRECISION,
    planning_time_index DOUBLE PRECISION,
    buffer_index DOUBLE PRECISION,
    gain_s DOUBLE PRECISION,
    PRIMARY KEY (topic, epoch, seq, time)
) PARTITION BY RANGE (time);
CREATE INDEX wait_time ON wait (country, port, time);

CREATE TABLE flow (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, seq BIGINT NOT NULL, id TEXT, time TIMESTAMPTZ NOT NULL,
    country TEXT NOT NULL, port TEXT NOT NULL, source TEXT NOT NULL, lane TEXT NOT NULL, config TEXT, calibration TEXT,
    received TIMESTAMPTZ NOT NULL, body JSON NOT NULL,
    direction TEXT,
    interval_s INTEGER,
    point TEXT,
    count INTEGER,
    count_by_class JSON,
    speed_mean_mps DOUBLE PRECISION,
    speed_sd_mps DOUBLE PRECISION,
    speed_p15_mps DOUBLE PRECISION,
    speed_p50_mps DOUBLE PRECISION,
    speed_p85_mps DOUBLE PRECISION,
    headway_mean_s DOUBLE PRECISION,
    headway_sd_s DOUBLE PRECISION,
    headway_p15_s DOUBLE PRECISION,
    headway_p50_s DOUBLE PRECISION,
    headway_p85_s DOUBLE PRECISION,
    gross_kg_by_class JSON,
    occupancy DOUBLE PRECISION,
    identified_share DOUBLE PRECISION,
    PRIMARY KEY (topic, epoch, seq, time)
) PARTITION BY RANGE (time);
CREATE INDEX flow_time ON flow (country, port, time);

CREATE TABLE alarm (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, seq BIGINT NOT NULL, id TEXT, time TIMESTAMPTZ NOT NULL,
    country TEXT NOT NULL, port TEXT NOT NULL, source TEXT NOT NULL, lane TEXT NOT NULL, config TEXT, calibration TEXT,
    received TIMESTAMPTZ NOT NULL, body JSON NOT NULL,
    code TEXT,
    state TEXT,
    severity TEXT,
    text TEXT,
    device TEXT,
    sensor TEXT,
    args JSON,
    gap_topic TEXT,
    gap_epoch TEXT,
    gap_from_seq BIGINT,
    gap_to_seq BIGINT,
    PRIMARY KEY (topic, epoch, seq, time)
) PARTITION BY RANGE (time);
CREATE INDEX alarm_time ON alarm (country, port, time);
CREATE INDEX alarm_gap ON alarm (gap_topic) WHERE gap_topic IS NOT NULL;

CREATE TABLE status (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, seq BIGINT NOT NULL, id TEXT, time TIMESTAMPTZ NOT NULL,
    country TEXT NOT NULL, port TEXT NOT NULL, source TEXT NOT NULL, lane TEXT NOT NULL, config TEXT, calibration TEXT,
    received TIMESTAMPTZ NOT NULL, body JSON NOT NULL,
    online BOOLEAN,
    since TIMESTAMPTZ,
    version TEXT,
    cause TEXT,
    devices JSON,
    backlog JSON,
    alarms JSON,
    PRIMARY KEY (topic, epoch, seq, time)
) PARTITION BY RANGE (time);
CREATE INDEX status_time ON status (country, port, time);

CREATE TABLE evidence (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, seq BIGINT NOT NULL, id TEXT, time TIMESTAMPTZ NOT NULL,
    country TEXT NOT NULL, port TEXT NOT NULL, source TEXT NOT NULL, lane TEXT NOT NULL, config TEXT, calibration TEXT,
    received TIMESTAMPTZ NOT NULL, body JSON NOT NULL,
    key TEXT,
    signature TEXT,
    heads JSON,
    PRIMARY KEY (topic, epoch, seq, time)
) PARTITION BY RANGE (time);
CREATE INDEX evidence_time ON evidence (country, port, time);

CREATE TABLE identifier (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, seq BIGINT NOT NULL, id TEXT, time TIMESTAMPTZ NOT NULL,
    country TEXT NOT NULL, port TEXT NOT NULL, source TEXT NOT NULL, lane TEXT NOT NULL, config TEXT, calibration TEXT,
    received TIMESTAMPTZ NOT NULL, body JSON NOT NULL,
    point TEXT,
    medium TEXT,
    pseudonym TEXT,
    key TEXT,
    sealed TEXT,
    PRIMARY KEY (topic, epoch, seq, time)
) PARTITION BY RANGE (time);
CREATE INDEX identifier_time ON identifier (country, port, time);

-- A topic in an epoch; what is up to `dropped_until` may have gone with the partition of an old month.
CREATE TABLE place (
    place_id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic TEXT NOT NULL, epoch TEXT NOT NULL,
    kind TEXT NOT NULL, dropped_until BIGINT NOT NULL DEFAULT 0, UNIQUE (topic, epoch)
);
CREATE TABLE number (
    place_id INTEGER NOT NULL, seq BIGINT NOT NULL, PRIMARY KEY (place_id, seq)
);

-- Runs of numbers that came and are not in `span` yet: one process at a time folds them in.
CREATE TABLE arrived (
    place_id INTEGER NOT NULL, first_seq BIGINT NOT NULL, last_seq BIGINT NOT NULL
);

-- Runs of numbers that are here, both ends included; they never touch each other.
CREATE TABLE span (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, first_seq BIGINT NOT NULL, last_seq BIGINT NOT NULL,
    PRIMARY KEY (topic, epoch, first_seq)
);

-- Runs of numbers that were missing when they were found, and what became of them.
CREATE TABLE gap (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, from_seq BIGINT NOT NULL, to_seq BIGINT NOT NULL,
    found TIMESTAMPTZ NOT NULL, asked TIMESTAMPTZ, asked_times INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL CHECK (state IN ('open', 'filled', 'explained', 'lost')), ended TIMESTAMPTZ, reason TEXT,
    PRIMARY KEY (topic, epoch, from_seq, to_seq)
);
CREATE INDEX gap_open ON gap (topic) WHERE state = 'open';

-- The last word of each computer: its newest status, or the last will that its broker spoke.
CREATE TABLE presence (
    topic TEXT PRIMARY KEY, country TEXT NOT NULL, port TEXT NOT NULL, source TEXT NOT NULL, online BOOLEAN NOT NULL,
    time TIMESTAMPTZ NOT NULL, received TIMESTAMPTZ NOT NULL, body JSON NOT NULL
);

-- What came and was no message of ours; the newest are kept.
CREATE TABLE rejected (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, received TIMESTAMPTZ NOT NULL, topic TEXT NOT NULL,
    reason TEXT NOT NULL, detail TEXT NOT NULL, body BYTEA NOT NULL
);
