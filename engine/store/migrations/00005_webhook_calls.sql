-- +goose Up
-- The execution that a call has become: it is the same however often the call comes.
ALTER TABLE webhook_call ADD COLUMN execution TEXT NOT NULL DEFAULT '';

PRAGMA user_version = 5;
