package schema

// Kind is the kind of a Node.
type Kind int

// The kinds of nodes.
const (
	ScalarNode Kind = iota
	ListNode
	MapNode
)

// Node is one value of a YAML document with its place. Aliases are resolved.
type Node struct {
	Kind    Kind
	Pos     Pos
	Scalar  Scalar  // of a ScalarNode
	Items   []Node  // of a ListNode
	Entries []Entry // of a MapNode, in their order; keys are unique
}

// Entry is one key of a MapNode.
type Entry struct {
	Key   string
	Pos   Pos // of the key
	Value Node
}
