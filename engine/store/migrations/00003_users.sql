-- +goose Up
-- Times are microseconds since 1970, UTC. What is called body is encrypted.

CREATE TABLE user (
    id    INTEGER PRIMARY KEY,
    name  TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL UNIQUE, -- what their things are stored under
    body  BLOB NOT NULL
) STRICT;

CREATE TABLE token (
    id     INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE, -- the id that people see
    user   INTEGER NOT NULL REFERENCES user (id),
    digest TEXT NOT NULL UNIQUE, -- SHA-256 of the token, in hex
    used   INTEGER,              -- exact to a minute
    body   BLOB NOT NULL
) STRICT;
CREATE INDEX token_user ON token (user);

CREATE TABLE share (
    id         INTEGER PRIMARY KEY,
    connection INTEGER NOT NULL REFERENCES connection (id),
    user       INTEGER NOT NULL REFERENCES user (id), -- whom it is shared with
    body       BLOB NOT NULL,
    UNIQUE (connection, user)
) STRICT;
CREATE INDEX share_user ON share (user);

-- Each body is encrypted under a key of its own, which is derived from a journal key.
CREATE TABLE audit (
    number           INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again
    time             INTEGER NOT NULL,
    owner            TEXT NOT NULL,
    connection_owner TEXT,             -- if there is a connection, and it is somebody else's
    key              INTEGER NOT NULL, -- the journal key
    body             BLOB NOT NULL
) STRICT;
CREATE INDEX audit_time ON audit (time);
CREATE INDEX audit_owner ON audit (owner);
CREATE INDEX audit_connection_owner ON audit (connection_owner) WHERE connection_owner IS NOT NULL;

CREATE TABLE schedule (
    id             INTEGER PRIMARY KEY,
    owner          TEXT NOT NULL,
    name           TEXT NOT NULL,
    next           INTEGER, -- when it is due
    last           INTEGER,
    last_execution TEXT NOT NULL,
    changed        INTEGER NOT NULL,
    body           BLOB NOT NULL,
    UNIQUE (owner, name)
) STRICT;
CREATE INDEX schedule_due ON schedule (next) WHERE next IS NOT NULL;

CREATE TABLE webhook (
    id      INTEGER PRIMARY KEY,
    owner   TEXT NOT NULL,
    name    TEXT NOT NULL,
    changed INTEGER NOT NULL,
    body    BLOB NOT NULL,
    UNIQUE (owner, name)
) STRICT;

-- The calls of webhooks that may not come a second time.
CREATE TABLE webhook_call (
    webhook INTEGER NOT NULL REFERENCES webhook (id),
    mark    TEXT NOT NULL,    -- SHA-256 of what makes the call the same
    until   INTEGER NOT NULL,
    PRIMARY KEY (webhook, mark)
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_call_until ON webhook_call (until);

PRAGMA user_version = 3;
