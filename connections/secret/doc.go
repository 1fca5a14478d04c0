// Package secret holds the values that must never be seen, and the redactor
// that keeps them out of everything that is.
//
// A [Value] is a pointer to a secret: no way of printing, encoding or logging
// it shows more than "***". Only task drivers and the Vault client may call
// [Value.Reveal]. A [Redactor] masks the secrets it was given, and the forms in
// which programs usually re-encode them, in texts, trees and streams; traces let it
// mask again after a restart what it must not store. [Ref], [Data] and [ReadError]
// are the words in which a source of secrets and its readers talk to each other.
//
// The package imports only the standard library, so that every other package
// may depend on it.
package secret
