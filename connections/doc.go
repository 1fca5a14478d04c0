// Package connections knows what a connection is, where connections come from,
// and how the inputs of a task are merged out of them.
//
// [Merge] is the heart: a pure function that lays a connection's value, its
// attached secrets and a flow's inputs over one another, in that order, and says
// for each input where it came from and what it replaced. A [Resolver] finds the
// connection in its sources ([Dirs], a [Store], [Defaults]), reads its secrets,
// merges and validates. [FileSecrets] stands in for a Vault in development.
//
// It promises that no error, explanation or listing holds a secret, that nothing
// it hands out aliases what it keeps, and that it never writes a connection in
// plain text.
package connections
