-- What PostgreSQL has beside the tables of both. A table of messages has a partition for each month (UTC) of `time`. `body` is
-- JSON and not JSONB, which would not keep the bytes that a signature is about.
--
-- Who wants to write takes the numbers first: a number is in `number` once, whichever process brought it, and only who put
-- it there writes the row. So several collectors may share one feed, and (topic, epoch, seq) is the identity of a row over
-- all partitions.

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

CREATE INDEX gap_open ON gap (topic) WHERE state = 'open';

-- What came and was no message of ours; the newest are kept.
CREATE TABLE rejected (
    n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, received TIMESTAMPTZ NOT NULL, topic TEXT NOT NULL,
    reason TEXT NOT NULL, detail TEXT NOT NULL, body BYTEA NOT NULL
);
