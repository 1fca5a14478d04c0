package schema

// Type is the type of an input.
type Type string

// The types, with the Go type that Inputs holds for each.
const (
	String   Type = "string"   // string; any YAML scalar is taken as it was typed
	Int      Type = "int"      // int64
	Number   Type = "number"   // float64
	Bool     Type = "bool"     // bool
	Duration Type = "duration" // time.Duration; "30s", "5m", or a number of seconds
	List     Type = "list"     // []any, elements by Field.Elem
	Map      Type = "map"      // map[string]any, values by Field.Elem
	Any      Type = "any"      // any tree of plain JSON values
)

// Field describes one input.
type Field struct {
	Name string // snake_case
	Type Type
	// Elem types the elements of a List or the values of a Map; "" means Any.
	Elem Type
	// Doc says what the input is for, in one or more sentences.
	Doc string
	// Default is used when the input is absent, already of the Go type that Type
	// says; nil means none.
	Default  any
	Required bool
	// Enum lists the allowed texts of a String; nil allows all.
	Enum []string
	// Sensitive inputs are secret wherever they came from. Inputs holds a
	// secret.Value for them. Only a String may be sensitive.
	Sensitive bool
	// Public inputs are shown even if a secret gave them: host, port, region.
	Public bool
	// Destination inputs decide where credentials are sent.
	Destination bool
	// Multiline texts get a text area in forms: keys, certificates, statements.
	Multiline bool
	// PairedWith names, on a sensitive field, the input that is sent beside it in
	// basic authentication, so that "user:password" is masked as well.
	PairedWith string
	Examples   []string
}

// Object describes the inputs of a task type.
type Object struct {
	Fields []Field // in the order in which people should see them
	// Conflicts lists groups of inputs of which at most one may be given.
	Conflicts [][]string
	// Noun is what problems call a field; "" means "input".
	Noun string
}

// Field gives the field of that name.
func (o Object) Field(name string) (Field, bool) {
	for _, f := range o.Fields {
		if f.Name == name {
			return f, true
		}
	}
	return Field{}, false
}
