-- What SQLite has beside the tables of both. Times are UTC texts with microseconds, truths are 0 and 1.

CREATE INDEX gap_open ON gap (state) WHERE state = 'open';

-- What came and was no message of ours; the newest are kept.
CREATE TABLE rejected (
    n INTEGER PRIMARY KEY, received TEXT NOT NULL, topic TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
