package secret

// Value is a secret JSON scalar. It holds a pointer to the text, so that no
// formatting verb, encoder or logger that walks it by reflection finds anything.
// The zero Value is absent: it reveals "" and prints as "***" all the same.
//
// A Value is immutable and safe for concurrent use.
type Value struct{ p *payload }

type payload struct{ v any } // string, json.Number, bool or nil
