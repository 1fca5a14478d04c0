package dispatch_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/tasks/all"
)

// unreadable has no secret that can be read; the path says why.
type unreadable struct{}

func (unreadable) ReadSecret(_ context.Context, ref secret.Ref) (secret.Data, error) {
	reason := map[string]secret.Reason{"a/down": secret.Unreachable, "a/closed": secret.Denied, "a/slow": secret.TimedOut}[ref.Path]
	return secret.Data{}, &secret.ReadError{Ref: ref, Reason: reason, Hint: "do this", Err: errors.Join(errors.New("deep"), errors.New("down"))}
}

// TestSecretsThatCannotBeRead tells of all of them at once, each with its way out.
func TestSecretsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := "name: two\ntype: FAKE\nsecrets: [{path: a/down}, {path: a/closed}]\n---\nname: later\ntype: FAKE\nsecrets: [{path: a/slow}, {path: a/down}]\n"
	if err := os.WriteFile(filepath.Join(dir, "c.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	types, err := all.Registry()
	if err != nil {
		t.Fatal(err)
	}
	resolver, err := connections.NewResolver(connections.ResolverConfig{
		Sources: []connections.Source{connections.NewDirs([]string{dir})}, Secrets: unreadable{}, Types: types,
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := dispatch.New(dispatch.Config{Resolver: resolver, Secrets: unreadable{}, Tasks: types})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]engine.Error{
		"two": {Kind: engine.Denied, Message: `2 secrets cannot be read
  read secret "a/down": unreachable (do this)
  read secret "a/closed": permission denied (do this)`},
		"later": {Kind: engine.Timeout, Message: `2 secrets cannot be read
  read secret "a/slow": timed out (do this)
  read secret "a/down": unreachable (do this)`},
	} {
		step := dispatch.Step{Call: engine.Call{Kind: engine.CallConnect, Name: name}, Scope: dispatch.NewScope([32]byte{}), Emit: func(engine.Event) {}}
		_, failure := d.Do(t.Context(), step)
		if diff := cmp.Diff(&want, failure); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
