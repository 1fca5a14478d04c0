// Package store keeps connections and other documents of users in one SQLite
// file, encrypted.
//
// A data key encrypts everything that a user typed, but owners, names, kinds,
// types, revisions and times, by which rows are found. Each ciphertext is bound
// to the row it belongs to, so one that was moved to another row is not read. The
// data key lies in the store, wrapped by a master key that does not: see
// [MasterKey]. [Store.RotateKey] replaces the data key, [Store.Rekey] both.
//
// Several processes may use one store at once. Every write is one transaction,
// on disk when it returns; a write that fails changes nothing. Errors hold no
// value; those that have a remedy are *engine.Error with a hint.
//
// What it does not do: it checks no rights of users, and knows nothing of what a
// document says.
package store
