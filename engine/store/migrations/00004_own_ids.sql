-- +goose Up
-- How long it takes to find an owner's executions by the first letters of their ids
-- must not depend on how many others there are.
CREATE INDEX execution_own ON execution (owner, id) WHERE parent = '';

PRAGMA user_version = 4;
