package connections

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
)

// Right is what somebody may do with a connection of another.
type Right string

// The rights. Who may manage may also use.
const (
	// RightUse is to run tasks with it, and to see nothing of it but its name, type
	// and description.
	RightUse Right = "use"
	// RightManage is to see and edit it too, but for what is secret; a change of where
	// its credentials are sent asks for these again.
	RightManage Right = "manage"
)

// Valid tells whether r is one of the rights.
func (r Right) Valid() bool { return r == RightUse || r == RightManage }

// Share gives somebody a right on a connection of another. It ends when it is
// taken back or the connection is deleted, for what runs already too: it is looked
// up at every step.
type Share struct {
	Owner      string // the connection's
	Connection string // its name with its owner
	With       string // the owner key of whom it is shared with
	Right      Right
	Since      time.Time
}

// SharedName is what whom it is shared with calls a connection: "user/name", where
// user is the name of its owner. Nobody's own connection has a name with a slash.
func SharedName(user, connection string) string { return user + "/" + connection }

// ParseShared splits a name that SharedName gave; ok is false for one of a
// connection of one's own.
func ParseShared(name string) (user, connection string, ok bool) {
	return strings.Cut(name, "/")
}

// ownName gives a connection's name with its owner.
func (c *Connection) ownName() string {
	if _, name, ok := ParseShared(c.Name); ok && c.Shared != "" {
		return name
	}
	return c.Name
}

// seen gives what whoever asked may see of a connection.
func (c Connection) seen() Connection {
	if c.Shared != RightUse {
		return c
	}
	return Connection{
		Name: c.Name, Type: c.Type, Description: c.Description, Value: schema.Node{Kind: schema.MapNode},
		Owner: c.Owner, Shared: c.Shared, Revision: c.Revision, Changed: c.Changed, Origin: c.Origin,
	}
}

// withDestinations adds the inputs of a task type that say where credentials are sent.
func withDestinations(pinned []string, object schema.Object) []string {
	all := slices.Clone(pinned)
	for i := range object.Fields {
		if f := &object.Fields[i]; f.Destination && !slices.Contains(all, f.Name) {
			all = append(all, f.Name)
		}
	}
	return all
}

// veil takes out of an outcome what whoever may only use the connection must not
// learn: paths of secrets, what is at fault in the value, where it leads and as whom.
func (out *outcome) veil() {
	for i := range out.reads {
		var failed *secret.ReadError
		if errors.As(out.reads[i].Err, &failed) {
			out.reads[i].Err = &secret.ReadError{
				Ref: secret.Ref{Path: out.connection.Name}, Reason: failed.Reason,
				Detail: "a secret of the shared connection", Hint: "its owner can see more",
			}
		}
	}
	mine := func(p schema.Problem) bool {
		in, given := out.merged.Inputs[p.Input]
		return p.Input != "" && (!given || in.Origin.Layer == schema.LayerFlow)
	}
	kept := slices.DeleteFunc(slices.Clone(out.problems), func(p schema.Problem) bool { return !mine(p) })
	if len(kept) < len(out.problems) {
		kept = append(kept, schema.Problem{Message: "what is stored of the connection is at fault", Hint: "its owner can see more"})
	}
	out.problems = kept
	for i := range out.object.Fields {
		f := &out.object.Fields[i]
		in := out.merged.Inputs[f.Name]
		if !f.Destination && !isUser(out.object, f.Name) || in.Origin.Layer == schema.LayerFlow {
			continue
		}
		leaves(in.Value, func(leaf any) {
			if text, ok := leafText(leaf); ok {
				out.veiled = append(out.veiled, secret.New(text))
				if u, err := url.Parse(text); err == nil && u.Host != "" {
					out.veiled = append(out.veiled, secret.New(u.Hostname()))
				}
			}
		})
	}
}

// isUser tells whether an input is the name of a user, with which a secret is sent.
func isUser(object schema.Object, name string) bool {
	return slices.ContainsFunc(object.Fields, func(f schema.Field) bool { return f.PairedWith == name })
}

func leafText(leaf any) (string, bool) {
	switch leaf := leaf.(type) {
	case string:
		return leaf, true
	case schema.Scalar:
		return leaf.Text, true
	}
	return "", false
}

// ownInputs gives the rows of an explanation that the flow gave itself.
func ownInputs(rows []ExplainedInput) []ExplainedInput {
	own := []ExplainedInput{}
	for _, row := range rows {
		if row.Layer == schema.LayerFlow {
			row.Shadowed, row.Pinned = nil, false
			own = append(own, row)
		}
	}
	return own
}

// CheckManaged tells what is against a change that somebody makes to a connection
// that is shared with them for manage: old is the connection, wanted what they made of
// it. kept names the inputs of its value that they left as they were without seeing
// them, because they are secret; wanted has them with their values. Its Text counts.
//
// They may change everything but what would show or send them what is not theirs: they
// attach no secrets and write no placeholders, and where they change the type or a
// destination they bring the credentials again: no attached secret and no secret input
// stays. The error is a *ManagedError, or an *InvalidError.
func CheckManaged(object schema.Object, old, wanted Connection, kept []string) error {
	fault := func(hint, format string, args ...any) error {
		return &ManagedError{Connection: old.Name, reason: fmt.Sprintf(format, args...), hint: hint}
	}
	if len(wanted.Secrets) > 0 && !slices.EqualFunc(old.Secrets, wanted.Secrets, sameAttached) {
		return fault("take all attached secrets away and give the credentials, or leave them as they are",
			"who does not own it may not change its attached secrets")
	}
	value, _, problems := ParseValue(old.Name, []byte(wanted.Text)) // the text is what is stored
	if len(problems) > 0 {
		return &InvalidError{Connection: old.Name, Problems: problems}
	}
	wanted.Value = value
	for i := range wanted.Value.Entries {
		e := &wanted.Value.Entries[i]
		if before, _ := old.Value.Get(e.Key); holdsPlaceholder(e.Value) && !sameNode(before, e.Value) {
			return fault("leave it as it is, or give a value", "who does not own it may not write vault.secret() in %q", e.Key)
		}
	}
	changed := changedDestinations(object, old, wanted)
	if len(changed) == 0 {
		return nil
	}
	left := len(wanted.Secrets) > 0
	for i := range wanted.Value.Entries {
		e := &wanted.Value.Entries[i]
		left = left || holdsPlaceholder(e.Value) || slices.Contains(kept, e.Key)
	}
	if left {
		return fault("give the credentials again, in place of all attached secrets, vault.secret() and masked inputs",
			"%s changes where its credentials are sent", quoteAll(changed))
	}
	return nil
}

// changedDestinations names what decides where credentials are sent and is not as it
// was. Without attached secrets their keys may have given any of them.
func changedDestinations(object schema.Object, old, wanted Connection) []string {
	var changed []string
	if !strings.EqualFold(old.Type, wanted.Type) {
		changed = append(changed, "type")
	}
	if len(old.Secrets) > 0 && len(wanted.Secrets) == 0 {
		changed = append(changed, "secrets")
	}
	for i := range object.Fields {
		f := &object.Fields[i]
		before, had := old.Value.Get(f.Name)
		after, has := wanted.Value.Get(f.Name)
		if f.Destination && (had != has || !sameNode(before, after)) {
			changed = append(changed, f.Name)
		}
	}
	return changed
}

func sameAttached(a, b AttachedSecret) bool {
	return a.Ref() == b.Ref() && maps.Equal(a.Keys, b.Keys) && (a.Keys == nil) == (b.Keys == nil)
}

func sameNode(a, b schema.Node) bool { return reflect.DeepEqual(a.Plain(), b.Plain()) }

// holdsPlaceholder tells whether a value holds vault.secret() at any depth.
func holdsPlaceholder(n schema.Node) bool {
	holds := false
	eachText(&n, func(text string) {
		pieces, fault := cutPlaceholders(text)
		holds = holds || fault != "" || slices.ContainsFunc(pieces, func(p piece) bool { return p.hold != nil })
	})
	return holds
}
