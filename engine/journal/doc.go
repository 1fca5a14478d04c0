// Package journal is the record by which an execution of a flow survives its
// process: versioned events that are only ever appended, their encoding, and the
// [Cursor] that plays them back.
//
// A flow is run again from its start after a crash, and its calls are answered
// from the journal up to where it was. So a journal holds what a flow cannot know
// by itself: what each call came to, and in which order the answers reached the
// flow. A call is found by its [Address], which is the same in every run.
//
// The package reads no clock, no files and no randomness, and knows nothing of
// encryption: package store encrypts what it encodes.
package journal
