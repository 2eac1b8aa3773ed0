-- A table for each kind of message, in both databases; the columns of a kind are those of edge/centre/columns.py. Written in
-- the types of PostgreSQL; what each database makes of a type and of what stands in braces is in edge/centre/layout.py. What
-- a message does not say is null.

CREATE TABLE vehicle (
    {common},
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
    PRIMARY KEY (topic, epoch, seq{and_time})
) {messages};
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
    PRIMARY KEY (topic, epoch, seq, n{and_time})
) {axle};

CREATE TABLE sighting (
    {common},
    point TEXT,
    medium TEXT,
    pseudonym TEXT,
    confidence DOUBLE PRECISION,
    PRIMARY KEY (topic, epoch, seq{and_time})
) {messages};
CREATE INDEX sighting_time ON sighting (country, port, time);

CREATE TABLE wait (
    {common},
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
    PRIMARY KEY (topic, epoch, seq{and_time})
) {messages};
CREATE INDEX wait_time ON wait (country, port, time);

CREATE TABLE flow (
    {common},
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
    PRIMARY KEY (topic, epoch, seq{and_time})
) {messages};
CREATE INDEX flow_time ON flow (country, port, time);

CREATE TABLE alarm (
    {common},
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
    PRIMARY KEY (topic, epoch, seq{and_time})
) {messages};
CREATE INDEX alarm_time ON alarm (country, port, time);
CREATE INDEX alarm_gap ON alarm (gap_topic) WHERE gap_topic IS NOT NULL;

CREATE TABLE status (
    {common},
    online BOOLEAN,
    since TIMESTAMPTZ,
    version TEXT,
    cause TEXT,
    devices JSON,
    backlog JSON,
    alarms JSON,
    PRIMARY KEY (topic, epoch, seq{and_time})
) {messages};
CREATE INDEX status_time ON status (country, port, time);

CREATE TABLE evidence (
    {common},
    key TEXT,
    signature TEXT,
    heads JSON,
    PRIMARY KEY (topic, epoch, seq{and_time})
) {messages};
CREATE INDEX evidence_time ON evidence (country, port, time);

CREATE TABLE identifier (
    {common},
    point TEXT,
    medium TEXT,
    pseudonym TEXT,
    key TEXT,
    sealed TEXT,
    PRIMARY KEY (topic, epoch, seq{and_time})
) {messages};
CREATE INDEX identifier_time ON identifier (country, port, time);

-- Runs of numbers that are here, both ends included; they never touch each other.
CREATE TABLE span (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, first_seq BIGINT NOT NULL, last_seq BIGINT NOT NULL,
    PRIMARY KEY (topic, epoch, first_seq)
) {keyed};

-- Runs of numbers that were missing when they were found, and what became of them.
CREATE TABLE gap (
    topic TEXT NOT NULL, epoch TEXT NOT NULL, from_seq BIGINT NOT NULL, to_seq BIGINT NOT NULL,
    found TIMESTAMPTZ NOT NULL, asked TIMESTAMPTZ, asked_times INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL CHECK (state IN ('open', 'filled', 'explained', 'lost')), ended TIMESTAMPTZ, reason TEXT,
    PRIMARY KEY (topic, epoch, from_seq, to_seq)
) {keyed};

-- The last word of each computer: its newest status, or the last will that its broker spoke.
CREATE TABLE presence (
    topic TEXT PRIMARY KEY, country TEXT NOT NULL, port TEXT NOT NULL, source TEXT NOT NULL, online BOOLEAN NOT NULL,
    time TIMESTAMPTZ NOT NULL, received TIMESTAMPTZ NOT NULL, body JSON NOT NULL
) {rows};
