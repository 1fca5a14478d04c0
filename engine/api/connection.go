package api

// Connection is a connection as it may be shown: what is secret in it is masked.
type Connection struct {
	Name        string            `json:"name"`
	Type        string            `json:"type" doc:"The task type"`
	Value       any               `json:"value,omitempty" doc:"Inputs by name; not in lists"`
	Source      string            `json:"source" doc:"Where it is: file, store, shared or default"`
	Secrets     []AttachedSecret  `json:"secrets" nullable:"false"`
	Description string            `json:"description"`
	Labels      map[string]string `json:"labels" nullable:"false"`
	Pinned      []string          `json:"pinned" nullable:"false" doc:"Inputs that a flow may not override"`
	TTL         int               `json:"ttl,omitempty" doc:"Seconds that temporary credentials may be reused"`
	Revision    int64             `json:"revision,omitempty"`
	Shared      string            `json:"shared,omitempty" enum:"use,manage" doc:"The caller's right on a connection of somebody else"`
	Place       string            `json:"place,omitempty" doc:"File and line"`
	Hides       []string          `json:"hides,omitempty" doc:"Where else there is one of this name, which does not count"`
	Document    string            `json:"document,omitempty" doc:"The same as a YAML document; not in lists"`
	Masked      []string          `json:"masked,omitempty" doc:"The inputs that are masked"`
}

// AttachedSecret is a secret of a Vault that is attached to a connection.
type AttachedSecret struct {
	Path    string            `json:"path"`
	Version int               `json:"version,omitempty" doc:"0 for the newest at each use"`
	Keys    map[string]string `json:"keys,omitempty" doc:"Only these: input to key"`
	Mount   string            `json:"mount,omitempty"`
	Vault   string            `json:"vault,omitempty" doc:"Name of the Vault configuration"`
}

// Connections is a list of connections.
type Connections struct {
	Connections []Connection `json:"connections" nullable:"false"`
	Notes       []string     `json:"notes,omitempty" doc:"What people should know"`
}

// Revision is a revision of a stored connection.
type Revision struct {
	Revision int64    `json:"revision"`
	At       string   `json:"at"`
	Changed  []string `json:"changed" nullable:"false" doc:"What differs from the one before; no values"`
}

// Revisions are the revisions of a connection, the newest first.
type Revisions struct {
	Revisions []Revision `json:"revisions" nullable:"false"`
}

// ConnectionText are connections that are to be stored.
type ConnectionText struct {
	Document string `json:"document" doc:"YAML documents as in a connection file; JSON is YAML, too"`
	File     string `json:"file,omitempty" maxLength:"512" doc:"What errors call the text"`
	// Keep is for one that is new, Replace for several.
	Keep     bool  `json:"keep,omitempty" doc:"Leave one of that name as it is, and do not fail"`
	Refuse   bool  `json:"refuse,omitempty" doc:"Store nothing if one of these names is taken by another connection"`
	Revision int64 `json:"revision,omitempty" doc:"The revision that was edited: nothing is changed if it is not the newest"`
}

// SecretChange attaches a secret to a connection, or detaches one.
type SecretChange struct {
	Secret AttachedSecret `json:"secret"`
	Detach bool           `json:"detach,omitempty"`
}

// Change is what became of a connection that was to be stored.
type Change struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Result   string `json:"result" enum:"created,updated,unchanged"`
	Revision int64  `json:"revision"`
}

// Changes are what became of connections that were to be stored.
type Changes struct {
	Changes []Change `json:"changes" nullable:"false"`
	Notes   []string `json:"notes,omitempty"`
}

// Export are connections as YAML documents, without what is secret in them.
type Export struct {
	Document string   `json:"document"`
	Notes    []string `json:"notes,omitempty" doc:"What was left out"`
}

// Overrides are inputs as a flow would give them.
type Overrides struct {
	Inputs  map[string]any `json:"inputs,omitempty"`
	Seconds int            `json:"seconds,omitempty" minimum:"0" maximum:"600" doc:"How long a test may take; 0 for a minute"`
}

// Stage is a stage of the test of a connection.
type Stage struct {
	Stage        string `json:"stage"`
	OK           bool   `json:"ok"`
	Detail       string `json:"detail"`
	Milliseconds int64  `json:"milliseconds"`
}

// Tested is the test of a connection.
type Tested struct {
	Stages []Stage  `json:"stages" nullable:"false"`
	Error  *Error   `json:"error,omitempty" doc:"Why it failed"`
	Notes  []string `json:"notes,omitempty"`
}
