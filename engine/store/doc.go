// Package store keeps what weir must remember in one SQLite file, encrypted:
// connections and other documents of users, the executions of flows with their
// journals, logs and settings, schedules and webhooks, and the users themselves with
// their tokens, the rights they share, and what was audited.
//
// A data key encrypts everything that a user typed, but owners, names, kinds,
// types, revisions and times, by which rows are found. Each ciphertext is bound
// to the row it belongs to, so one that was moved to another row is not read. The
// data key lies in the store, wrapped by a master key that does not: see
// [MasterKey]. [Store.RotateKey] replaces the data key, [Store.Rekey] both.
//
// What executions write is encrypted under keys of their own, which are derived
// from a journal key that the data key encrypts. In the clear are their ids,
// owners, names, states and times, the names of settings, and the digests of the
// texts of flows. Of a token and a webhook's key there is a digest only. The role of a
// user, the user of a token and the right of a share are encrypted with their row, so
// that nobody who can write to the file without the key gives themselves a right.
//
// Several processes may use one store at once; one of them may be its engine, see
// [Store.TakeEngine]. Every write is one transaction, on disk when it returns or,
// of [Executions.Commit], when it says so; a write that fails changes nothing.
// Commits that come at the same time are written together, with one wait for the
// disk. Errors hold no value; those that have a remedy are *engine.Error with a
// hint.
//
// What it does not do: it checks no rights of users, and knows nothing of what a
// document or a flow says.
package store
