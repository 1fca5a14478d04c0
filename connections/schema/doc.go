// Package schema describes the inputs of task types and checks values against
// the description. One list of [Field] drives everything: decoding, validation
// with file and line, nearest-name hints, JSON Schema, help texts and forms.
//
// It is also the only package that knows YAML: [Parse] gives documents as [Node]
// trees that remember where each value stands and how it was typed, so that a
// password like 0123 or 1e3 or a date stays the text that its author wrote.
//
// What it does not do: it reads no files, knows no connections and fetches no
// secrets; secret leaves are [secret.Value] and stay so.
package schema
