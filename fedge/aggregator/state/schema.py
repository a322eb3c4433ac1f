"""The database of an aggregator: everything it must know after a crash, and nothing else.

    job       one row: the job that this state directory belongs to
    round     every round that was opened; closed_at is NULL for the open one
    taken     every accepted update that is in no model yet, in order of arrival
    payload_group  their payloads: those of one commit, or a part of it, one after another
    applied   every accepted update that is in a model, once by (round, device), without its
              payload; applied_in is the version of the model
    update_   both as one table, for people who look
    model     every global model, oldest first; version 0 is the artifact's. The values are
              files named by their SHA-256; the row refers to them, never the other way. The rows
              stay; files are kept of the last models and of the best one (see
              `fedge.aggregator.models.retention`), of what devices hold
              (`fedge.aggregator.models.broadcast`) and of the strategy's memory the newest, of
              broadcasts the last few
    refusal   how many updates were refused while a round was open, by reason
    silent    devices that gave no sign of life in the last rounds

An abandoned round (closed_at set, report NULL) made no model. The updates accepted for it go
into the model of the next round that closes, which starts from the same model.

Laws, whenever the process dies: an update that a device was told is accepted
has a row; a row of a round that made a model is in applied, and every other row is
in taken; models are a chain, each one's parent being the one before; every
file that a row names is whole and on disk before the row is, and stays as long as
the model is one to keep; a broadcast leads from what devices hold of the model
before to what they hold of its own, bit for bit.
"""

FORMAT = 4  # user_version of the file; an older one is migrated, a newer one refused

SILENT = """
    CREATE TABLE silent (
        device TEXT PRIMARY KEY,
        n_missed INTEGER NOT NULL           -- rounds in a row, without a sign of life
    ) STRICT
    """

UPDATES = (
    """
    CREATE TABLE payload_group (
        id INTEGER PRIMARY KEY,
        accepted_at TEXT NOT NULL,
        payloads BLOB NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE taken (
        id INTEGER PRIMARY KEY,
        round INTEGER NOT NULL REFERENCES round,
        device TEXT NOT NULL,
        nonce BLOB NOT NULL,
        n_examples INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL,
        group_ INTEGER NOT NULL,            -- id of the payload_group
        start INTEGER NOT NULL              -- of the payload in it, in bytes
    ) STRICT
    """,
    """
    CREATE TABLE applied (
        round INTEGER NOT NULL REFERENCES round,
        device TEXT NOT NULL,
        nonce BLOB NOT NULL,
        n_examples INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL,
        accepted_at TEXT NOT NULL,
        applied_in INTEGER NOT NULL REFERENCES model,
        PRIMARY KEY (round, device)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE VIEW update_ AS
        SELECT (SELECT job FROM job) AS job, round, device, nonce, n_examples, size_bytes,
            NULL AS payload, accepted_at, applied_in
        FROM applied
        UNION ALL
        SELECT (SELECT job FROM job), round, device, nonce, n_examples, size_bytes,
            substr(payloads, start + 1, size_bytes), accepted_at, NULL
        FROM taken JOIN payload_group ON payload_group.id = group_
    """,
)

FACTS = (  # what devices say of their training; NULL if they do not
    "ALTER TABLE taken ADD COLUMN n_steps INTEGER",
    "ALTER TABLE taken ADD COLUMN loss REAL",
    "ALTER TABLE applied ADD COLUMN n_steps INTEGER",
    "ALTER TABLE applied ADD COLUMN loss REAL",
)

ALGORITHM = (  # what a model's algorithm is, and what devices are sent of its vectors
    "ALTER TABLE model ADD COLUMN algorithm TEXT NOT NULL DEFAULT 'fedavg'",  # spec
    "ALTER TABLE model ADD COLUMN since INTEGER NOT NULL DEFAULT 0",  # version it began with
    "ALTER TABLE model ADD COLUMN server BLOB",  # SHA-256 of the vectors; NULL: none
)

TABLES = (
    """
    CREATE TABLE job (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        fleet TEXT NOT NULL,
        job TEXT NOT NULL,
        run BLOB NOT NULL,                  -- drawn when the directory was begun
        artifact BLOB NOT NULL,             -- SHA-256 of the .fedge file
        sequence INTEGER NOT NULL,          -- of the last manifest; only ever grows
        is_announced INTEGER NOT NULL DEFAULT 0,  -- whether the devices were told it is finished
        last_number INTEGER NOT NULL DEFAULT -1,  -- rounds to here were given out; see round
        created_at TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE round (
        round INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        manifest BLOB NOT NULL,             -- as published
        expected TEXT NOT NULL,             -- JSON list of the devices there when it opened
        quorum INTEGER NOT NULL,
        opened_at TEXT NOT NULL,
        closed_at TEXT,
        uplink_bytes INTEGER NOT NULL DEFAULT 0,
        downlink_bytes INTEGER NOT NULL DEFAULT 0,
        report TEXT,                        -- JSON: its line among the events
        spent_s REAL NOT NULL DEFAULT 0     -- of its deadline, with a link to the broker
    ) STRICT
    """,
    """
    CREATE TABLE model (
        version INTEGER PRIMARY KEY,
        round INTEGER UNIQUE REFERENCES round,
        parent BLOB,                        -- SHA-256 of the model before; NULL for version 0
        sha256 BLOB NOT NULL,               -- of the parameters: float32, little-endian
        held BLOB NOT NULL,                 -- SHA-256 of what devices hold of it
        broadcast BLOB,                     -- payload that leads there; NULL: only the whole model
        memory BLOB,                        -- SHA-256 of what the strategy remembers
        strategy TEXT NOT NULL,             -- spec, says how to read the memory
        loss REAL,                          -- on the test data; NULL if there is none
        accuracy REAL,
        created_at TEXT NOT NULL
    ) STRICT
    """,
    *ALGORITHM,
    *UPDATES,
    *FACTS,
    """
    CREATE TABLE refusal (
        round INTEGER NOT NULL,             -- -1: before the first round
        reason TEXT NOT NULL,
        n INTEGER NOT NULL,
        PRIMARY KEY (round, reason)
    ) STRICT
    """,
    SILENT,
)

MIGRATIONS = {  # from this format to the next
    1: (
        "ALTER TABLE job ADD COLUMN last_number INTEGER NOT NULL DEFAULT -1",
        "UPDATE job SET last_number = coalesce((SELECT max(round) FROM round), -1)",
        "ALTER TABLE round ADD COLUMN spent_s REAL NOT NULL DEFAULT 0",
        SILENT,
    ),
    2: (
        "ALTER TABLE update_ RENAME TO former",
        *UPDATES,
        """
        INSERT INTO applied
        SELECT round, device, nonce, n_examples, size_bytes, accepted_at, applied_in
        FROM former WHERE applied_in IS NOT NULL ORDER BY round, device
        """,
        """
        INSERT INTO payload_group
        SELECT rowid, accepted_at, payload FROM former WHERE applied_in IS NULL
        """,
        """
        INSERT INTO taken (round, device, nonce, n_examples, size_bytes, group_, start)
        SELECT round, device, nonce, n_examples, size_bytes, rowid, 0
        FROM former WHERE applied_in IS NULL
        """,
        "DROP TABLE former",
    ),
    3: (*FACTS, *ALGORITHM),
}
