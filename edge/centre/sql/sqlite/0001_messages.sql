-- A table for each kind of message; the columns of a kind are those of edge/centre/columns.py. Times are UTC texts with
-- microseconds, truths are 0 and 1, lists and maps are JSON, what a message does not say is null.

CREATE TABLE vehicle (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT, time TEXT NOT NULL,
    country TEXT NOT NULL, port TEXT NOT NULL, source TEXT NOT NULL, lane TEXT NOT NULL, config TEXT, calibration TEXT,
    received TEXT NOT NULL, body TEXT NOT NULL,
    direction TEXT,
    speed_mps REAL,
    length_m REAL,
    wheelbase_m REAL,
    height_m REAL,
    lateral_m REAL,
    gross_kg REAL,
    gross_sigma_kg REAL,
    class_scheme TEXT,
    class_code TEXT,
    class_confidence REAL,
    flags TEXT,
    identities TEXT,
    violations TEXT,
    esal REAL,
    PRIMARY KEY (topic, epoch, seq)
) STRICT;
CREATE INDEX vehicle_time ON vehicle (country, port, time);

-- axle {n} of the vehicle of the same topic, epoch and seq; n counts from 0 at the front
CREATE TABLE axle (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, n INTEGER NOT NULL, time TEXT NOT NULL,
    position_m REAL,
    position_sigma_m REAL,
    load_kg REAL,
    sigma_kg REAL,
    left_kg REAL,
    right_kg REAL,
    dual_tyres INTEGER,
    axle_group INTEGER,
    PRIMARY KEY (topic, epoch, seq, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE sighting (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT, time TEXT NOT NULL,
    country TEXT NOT NULL, port TEXT NOT NULL, source TEXT NOT NULL, lane TEXT NOT NULL, config TEXT, calibration TEXT,
    received TEXT NOT NULL, body TEXT NOT NULL,
    point TEXT,
    medium TEXT,
    pseudonym TEXT,
    confidence REAL,
    PRIMARY KEY (topic, epoch, seq)
) STRICT;
CREATE INDEX sighting_time ON sighting (country, port, time);

CREATE TABLE wait (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT, time TEXT NOT NULL,
    country TEXT NOT NULL, port TEXT NOT NULL, source TEXT NOT NULL, lane TEXT NOT NULL, config TEXT, calibration TEXT,
    received TEXT NOT NULL, body TEXT NOT NULL,
    direction TEXT,
    traffic TEXT,
    program TEXT,
    from_point TEXT,
    to_point TEXT,
    interval_s INTEGER,
    experienced_count INTEGER,
    experienced_median_s REAL,
    experienced_p10_s REAL,
    experienced_p90_s REAL,
    experienced_p95_s REAL,
    expected_s REAL,
    low_s REAL,
    high_s REAL,
    queue_vehicles REAL,
    throughput_per_h REAL,
    lower_bound INTEGER,
    method TEXT,
    match_rate REAL,
    reference_s REAL,
    change REAL,
    bottleneck_from_point TEXT,
    bottleneck_to_point TEXT,
    bottleneck_delay_s REAL,
    bottleneck_share REAL,
    booths_open INTEGER,
    one_more_booth_s REAL,
    planning_time_s REAL,
    planning_time_index REAL,
    buffer_index REAL,
    gain_s REAL,
    PRIMARY KEY (topic, epoch, seq)
) STRICT;
CREATE INDEX wait_time ON wait (country, port, time);

CREATE TABLE flow (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT, time TEXT NOT NULL,
    country TEXT NOT NULL, port TEXT NOT NULL, source TEXT NOT NULL, lane TEXT NOT NULL, config TEXT, calibration TEXT,
    received TEXT NOT NULL, body TEXT NOT NULL,
    direction TEXT,
    interval_s INTEGER,
    point TEXT,
    count INTEGER,
    count_by_class TEXT,
    speed_mean_mps REAL,
    speed_sd_mps REAL,
    speed_p15_mps REAL,
    speed_p50_mps REAL,
    speed_p85_mps REAL,
    headway_mean_s REAL,
    headway_sd_s REAL,
    headway_p15_s REAL,
    headway_p50_s REAL,
    headway_p85_s REAL,
    gross_kg_by_class TEXT,
    occupancy REAL,
    identified_share REAL,
    PRIMARY KEY (topic, epoch, seq)
) STRICT;
CREATE INDEX flow_time ON flow (country, port, time);

CREATE TABLE alarm (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT, time TEXT NOT NULL,
    country TEXT NOT NULL, port TEXT NOT NULL, source TEXT NOT NULL, lane TEXT NOT NULL, config TEXT, calibration TEXT,
    received TEXT NOT NULL, body TEXT NOT NULL,
    code TEXT,
    state TEXT,
    severity TEXT,
    text TEXT,
    device TEXT,
    sensor TEXT,
    args TEXT,
    gap_topic TEXT,
    gap_epoch TEXT,
    gap_from_seq INTEGER,
    gap_to_seq INTEGER,
    PRIMARY KEY (topic, epoch, seq)
) STRICT;
CREATE INDEX alarm_time ON alarm (country, port, time);
CREATE INDEX alarm_gap ON alarm (gap_topic) WHERE gap_topic IS NOT NULL;

CREATE TABLE status (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT, time TEXT NOT NULL,
    country TEXT NOT NULL, port TEXT NOT NULL, source TEXT NOT NULL, lane TEXT NOT NULL, config TEXT, calibration TEXT,
    received TEXT NOT NULL, body TEXT NOT NULL,
    online INTEGER,
    since TEXT,
    version TEXT,
    cause TEXT,
    devices TEXT,
    backlog TEXT,
    alarms TEXT,
    PRIMARY KEY (topic, epoch, seq)
) STRICT;
CREATE INDEX status_time ON status (country, port, time);

CREATE TABLE evidence (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT, time TEXT NOT NULL,
    country TEXT NOT NULL, port TEXT NOT NULL, source TEXT NOT NULL, lane TEXT NOT NULL, config TEXT, calibration TEXT,
    received TEXT NOT NULL, body TEXT NOT NULL,
    key TEXT,
    signature TEXT,
    heads TEXT,
    PRIMARY KEY (topic, epoch, seq)
) STRICT;
CREATE INDEX evidence_time ON evidence (country, port, time);

CREATE TABLE identifier (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, id TEXT, time TEXT NOT NULL,
    country TEXT NOT NULL, port TEXT NOT NULL, source TEXT NOT NULL, lane TEXT NOT NULL, config TEXT, calibration TEXT,
    received TEXT NOT NULL, body TEXT NOT NULL,
    point TEXT,
    medium TEXT,
    pseudonym TEXT,
    key TEXT,
    sealed TEXT,
    PRIMARY KEY (topic, epoch, seq)
) STRICT;
CREATE INDEX identifier_time ON identifier (country, port, time);

-- The last word of each computer: its newest status, or the last will that its broker spoke.
CREATE TABLE presence (
    topic TEXT PRIMARY KEY, country TEXT NOT NULL, port TEXT NOT NULL, source TEXT NOT NULL, online INTEGER NOT NULL,
    time TEXT NOT NULL, received TEXT NOT NULL, body TEXT NOT NULL
) STRICT;

-- Runs of numbers that are here, both ends included; they never touch each other.
CREATE TABLE span (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL,
    PRIMARY KEY (topic, epoch, first_seq)
) STRICT, WITHOUT ROWID;

-- Runs of numbers that were missing when they were found, and what became of them.
CREATE TABLE gap (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, from_seq INTEGER NOT NULL, to_seq INTEGER NOT NULL,
    found TEXT NOT NULL, asked TEXT, asked_times INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL CHECK (state IN ('open', 'filled', 'explained', 'lost')), ended TEXT, reason TEXT,
    PRIMARY KEY (topic, epoch, from_seq, to_seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX gap_open ON gap (state) WHERE state = 'open';

-- What came and was no message of ours; the newest are kept.
CREATE TABLE rejected (
    n INTEGER PRIMARY KEY, received TEXT NOT NULL, topic TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
