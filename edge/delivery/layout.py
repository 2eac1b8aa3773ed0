"""The tables of the journal, and how a file of an older or a newer borderflow becomes one that this version can use.

Called by `edge.delivery.journal` with an open database. Layouts only add: within a minor version a newer file can be
used by an older borderflow, which leaves alone what it does not know. The SQL here is what the file must hold; a file
that says otherwise about itself is damaged.
"""

from __future__ import annotations

from functools import cache, partial

from edge.delivery.seals import seal
from edge.delivery.store import Connection, Damaged, DatabaseError, Error, code, empty, is_damage

APPLICATION_ID = 0x42464C57

MIGRATIONS = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE topics (
        topic_id INTEGER PRIMARY KEY, topic TEXT NOT NULL, epoch TEXT NOT NULL, kind TEXT NOT NULL,
        seq INTEGER NOT NULL, link BLOB NOT NULL, UNIQUE (topic, epoch)
    );
    CREATE TABLE log (
        n INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, topic_id INTEGER NOT NULL, seq INTEGER NOT NULL,
        id BLOB NOT NULL, time_ns INTEGER NOT NULL, body BLOB NOT NULL
    );
    CREATE INDEX log_kind ON log (kind);
    CREATE UNIQUE INDEX log_seq ON log (topic_id, seq);
    CREATE TABLE spans (
        collector TEXT NOT NULL, kind TEXT NOT NULL, start INTEGER NOT NULL, done INTEGER NOT NULL, "end" INTEGER,
        PRIMARY KEY (collector, kind, start)
    ) WITHOUT ROWID;
    CREATE TABLE losses (
        loss_id INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, topic_id INTEGER NOT NULL,
        from_seq INTEGER NOT NULL, to_seq INTEGER NOT NULL, messages INTEGER NOT NULL
    );
    """,
    # The head of the hash chain before each message, so that it can be told around a loss; null in what is older.
    """
    ALTER TABLE log ADD COLUMN link BLOB;
    ALTER TABLE losses ADD COLUMN before BLOB;
    ALTER TABLE losses ADD COLUMN after BLOB;
    """,
    # A seal for each row (null in older messages), the last seq of a topic that was removed in good order, and what
    # failed its seal.
    """
    ALTER TABLE meta ADD COLUMN seal BLOB;
    ALTER TABLE topics ADD COLUMN floor INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE topics ADD COLUMN seal BLOB;
    ALTER TABLE log ADD COLUMN seal BLOB;
    ALTER TABLE spans ADD COLUMN seal BLOB;
    ALTER TABLE losses ADD COLUMN cause TEXT NOT NULL DEFAULT 'dropped';
    ALTER TABLE losses ADD COLUMN seal BLOB;
    CREATE TABLE set_aside (n INTEGER PRIMARY KEY, kind, topic_id, seq, id, time_ns, body, link, seal);
    UPDATE topics SET floor = (SELECT coalesce(min(seq) - 1, topics.seq) FROM log WHERE log.topic_id = topics.topic_id);
    """,
)
COLUMNS = {  # of the tables with seals, in the order in which they are sealed
    "meta": ("key", "value"),
    "topics": ("topic_id", "topic", "epoch", "kind", "seq", "link", "floor"),
    "spans": ("collector", "kind", "start", "done", '"end"'),
    "losses": (
        "loss_id", "time_ns", "topic_id", "from_seq", "to_seq", "messages", "before", "after", "cause",
    ),
}  # fmt: skip
_SEALED_FROM = 3  # the layout that brought seals


class TooNew(Exception):
    """A layout of a newer borderflow that lacks what this one needs; the text says the numbers."""


class MigrationError(Exception):
    """An older file cannot be brought up to date; nothing in it was changed."""


def bring_up_to_date(db: Connection) -> None:
    """Damaged, `TooNew` or `MigrationError` where the file cannot be used; an empty file becomes a journal."""
    (owner,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    found = _schema(db)
    if owner != APPLICATION_ID and (owner != 0 or found):
        raise Damaged("the file is not a journal of borderflow")
    if not 0 <= version < 1000:
        raise Damaged(f"its layout is {version}")
    if version > len(MIGRATIONS):
        if not _can_be_used(db):
            raise TooNew(f"layout {version}, this one knows {len(MIGRATIONS)}")
        return
    if found != _expected(MIGRATIONS[:version]):
        raise Damaged(f"its tables are not those of layout {version}")
    for number in range(version, len(MIGRATIONS)):
        try:
            db.executescript(
                f"BEGIN IMMEDIATE; {MIGRATIONS[number]}; PRAGMA application_id = {APPLICATION_ID}; "
                f"PRAGMA user_version = {number + 1};"
            )
            if number + 1 == _SEALED_FROM:
                _seal_all(db)
            db.execute("COMMIT")
        except Error as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            if isinstance(error, DatabaseError) and code(error) > 1 and is_damage(error):
                raise
            raise MigrationError(f"cannot be brought from layout {number} to {number + 1} ({error})") from None


def _seal_all(db: Connection) -> None:
    """What an older version wrote is taken as it is; messages are told by their chain (`edge.delivery.journal`)."""
    for table, columns in COLUMNS.items():
        db.create_function("sealed", len(columns), partial(seal, table))
        db.execute(f"UPDATE {table} SET seal = sealed({', '.join(columns)})")


def _schema(db: Connection) -> list[tuple[str, str, str]]:
    rows = db.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall()
    return [(str(kind), str(name), " ".join(str(sql).split())) for kind, name, sql in rows]


@cache
def _expected(migrations: tuple[str, ...]) -> list[tuple[str, str, str]]:
    db = empty()
    for text in migrations:
        db.executescript(text)
    schema = _schema(db)
    db.close()
    return schema


def _can_be_used(db: Connection) -> bool:
    """Whether a newer layout has every table and column of ours, and nothing new that we would have to fill."""
    ours = empty()
    for text in MIGRATIONS:
        ours.executescript(text)
    try:
        tables = ours.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        for (table,) in tables.fetchall():
            known, there = ({row[1]: row for row in at.execute(f"PRAGMA table_info({table})")} for at in (ours, db))
            if not known.keys() <= there.keys():
                return False
            if any(row[3] and row[4] is None for name, row in there.items() if name not in known):
                return False
        return True
    finally:
        ours.close()
