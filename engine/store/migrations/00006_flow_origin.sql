-- +goose Up
-- The file of a watched directory that a version comes from; empty if somebody applied it.
ALTER TABLE flow_version ADD COLUMN origin TEXT NOT NULL DEFAULT '';

PRAGMA user_version = 6;
