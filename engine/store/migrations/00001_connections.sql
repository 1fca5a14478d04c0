-- +goose Up
CREATE TABLE keyset (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    sealed        BLOB NOT NULL, -- the data key, wrapped by the master key
    master_id     TEXT NOT NULL, -- fingerprint of the master key
    master_source TEXT NOT NULL  -- where the master key was read when it wrapped this
) STRICT;

CREATE TABLE connection (
    id       INTEGER PRIMARY KEY,
    owner    TEXT NOT NULL,
    name     TEXT NOT NULL,
    revision INTEGER NOT NULL,           -- the newest; it goes on after a deletion
    deleted  INTEGER NOT NULL DEFAULT 0, -- 1: has no revisions any more
    UNIQUE (owner, name)
) STRICT;

CREATE TABLE connection_revision (
    connection INTEGER NOT NULL REFERENCES connection (id),
    revision   INTEGER NOT NULL,
    type       TEXT NOT NULL,
    changed    INTEGER NOT NULL, -- milliseconds since 1970, UTC
    body       BLOB NOT NULL,    -- encrypted
    PRIMARY KEY (connection, revision)
) STRICT;

CREATE TABLE document (
    id      INTEGER PRIMARY KEY,
    owner   TEXT NOT NULL,
    kind    TEXT NOT NULL,
    name    TEXT NOT NULL,
    changed INTEGER NOT NULL, -- milliseconds since 1970, UTC
    body    BLOB NOT NULL,    -- encrypted
    UNIQUE (owner, kind, name)
) STRICT;

PRAGMA user_version = 1;
