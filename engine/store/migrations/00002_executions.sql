-- +goose Up
-- Times are microseconds since 1970, UTC, but where another unit is named.

CREATE TABLE journal_key (
    id     INTEGER PRIMARY KEY, -- the highest is the one for new executions
    made   INTEGER NOT NULL,
    sealed BLOB NOT NULL        -- encrypted under the data key
) STRICT;

-- In the order of ids, which is that of their making: what is at work lies together.
CREATE TABLE execution (
    id      TEXT NOT NULL PRIMARY KEY,
    root    TEXT NOT NULL,    -- of the tree; id itself for a root
    parent  TEXT NOT NULL,    -- empty for a root
    owner   TEXT NOT NULL,
    name    TEXT NOT NULL,
    status  TEXT NOT NULL,
    created INTEGER NOT NULL,
    wake    INTEGER,          -- when an engine must look at it
    waits   TEXT NOT NULL,    -- what it waits for, if others may bring it
    ended   INTEGER,
    kind    TEXT NOT NULL,    -- of its error; empty if there is none
    key     INTEGER NOT NULL  -- the journal key of its tree
) STRICT, WITHOUT ROWID;
CREATE INDEX execution_roots ON execution (owner, created, name) WHERE parent = '';
CREATE INDEX execution_children ON execution (owner, created, name) WHERE parent <> '';
CREATE INDEX execution_open ON execution (status, owner, created) WHERE status <> 'succeeded';
CREATE INDEX execution_tree ON execution (root) WHERE parent <> '';
CREATE INDEX execution_due ON execution (owner, wake) WHERE wake IS NOT NULL;
CREATE INDEX execution_waits ON execution (waits, owner) WHERE waits <> '';
CREATE INDEX execution_ended ON execution (ended) WHERE parent = '' AND ended IS NOT NULL;

-- With row ids: the events of all executions that are at work go to the end of
-- the table, in few pages, and only small index entries go to their places. (A
-- table in the order of executions writes three times as many pages with a
-- hundred flows at work, and reads whole events to find the place of another.)
CREATE TABLE journal (
    execution TEXT NOT NULL,
    number    INTEGER NOT NULL, -- from 0
    body      BLOB NOT NULL,    -- encrypted
    PRIMARY KEY (execution, number)
) STRICT;

CREATE TABLE log (
    position  INTEGER PRIMARY KEY, -- in the order of writing, over all executions
    root      TEXT NOT NULL,
    execution TEXT NOT NULL,
    number    INTEGER NOT NULL,    -- from 1
    ordinal   INTEGER NOT NULL,
    body      BLOB NOT NULL,       -- encrypted
    UNIQUE (execution, number)
) STRICT;
CREATE INDEX log_root ON log (root);

CREATE TABLE text (
    id     INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE, -- SHA-256 of the text, in hex
    key    INTEGER NOT NULL,
    body   BLOB NOT NULL         -- encrypted
) STRICT;

CREATE TABLE text_use (
    root TEXT NOT NULL,    -- a tree whose journals name the text
    text INTEGER NOT NULL,
    PRIMARY KEY (root, text)
) STRICT, WITHOUT ROWID;
CREATE INDEX text_use_text ON text_use (text);

CREATE TABLE trace (
    root TEXT NOT NULL,
    mark BLOB NOT NULL, -- keyed hash of the trace
    body BLOB NOT NULL, -- encrypted
    PRIMARY KEY (root, mark)
) STRICT, WITHOUT ROWID;

CREATE TABLE orders (
    number    INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again
    execution TEXT NOT NULL,
    body      BLOB NOT NULL -- encrypted
) STRICT;

CREATE TABLE setting (
    owner   TEXT NOT NULL,
    name    TEXT NOT NULL,
    changed INTEGER NOT NULL,
    key     INTEGER NOT NULL,
    body    BLOB NOT NULL, -- encrypted
    PRIMARY KEY (owner, name)
) STRICT;

-- A row stays when its lock is released, so that fences go on.
CREATE TABLE lock (
    owner   TEXT NOT NULL,
    name    TEXT NOT NULL,
    fence   INTEGER NOT NULL,
    holder  TEXT NOT NULL,    -- an execution; empty if it was released
    expires INTEGER NOT NULL,
    PRIMARY KEY (owner, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX lock_holder ON lock (holder) WHERE holder <> '';

CREATE TABLE flow (
    id      INTEGER PRIMARY KEY,
    owner   TEXT NOT NULL,
    name    TEXT NOT NULL,
    version INTEGER NOT NULL,           -- the newest; it goes on after a deletion
    deleted INTEGER NOT NULL DEFAULT 0, -- 1: has no versions any more
    UNIQUE (owner, name)
) STRICT;

CREATE TABLE flow_version (
    flow    INTEGER NOT NULL REFERENCES flow (id),
    version INTEGER NOT NULL,
    text    INTEGER NOT NULL REFERENCES text (id),
    changed INTEGER NOT NULL,
    PRIMARY KEY (flow, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX flow_version_text ON flow_version (text);

PRAGMA user_version = 2;
