// Package engine holds the nouns that every part of the engine speaks of:
// [Call], [Execution], [Status], [Event] and [Error], and the narrow interfaces
// between the script host, the runners and what they run: [Host].
//
// # Values
//
// Inputs and outputs are trees of JSON values. In Go a node is one of: nil, bool,
// float64, int64, [encoding/json.Number] (a number that float64 does not hold
// exactly), string, [SecretRef], []any, map[string]any. Nothing else crosses a
// package boundary. A nil inside a map is an explicit null; a missing key is not.
//
// The package imports only the standard library.
package engine
