package dispatch_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/tasks/all"
)

// lender is a source with what ann shares with bob.
type lender struct{ right connections.Right }

func (l lender) Get(_ context.Context, owner, name string) (connections.Connection, error) {
	if owner != "bob" || name != "ann/oracle" {
		return connections.Connection{}, connections.ErrNotFound
	}
	value, text, _ := connections.ParseValue("store:ann/oracle", []byte("host: ann-db.example.com\nuser: scott\n"))
	return connections.Connection{
		Name: name, Type: "FAKE", Owner: "ann", Shared: l.right, Value: value, Text: text, Revision: 4,
		Secrets: []connections.AttachedSecret{{Path: "secret/ann"}},
		Origin:  connections.Origin{Source: connections.SourceStore, Pos: schema.Pos{File: "store:ann/oracle"}},
	}, nil
}

func (lender) List(context.Context, string) ([]connections.Connection, error) { return nil, nil }

// turning is a custodian whose passwords change whenever they are forgotten.
type turning struct {
	version  *int
	forgot   *[]string
	readings *[]connections.Reading
	reading  connections.Reading
}

func newTurning() turning {
	one := 1
	return turning{&one, new([]string), new([]connections.Reading), connections.Reading{}}
}

func (u turning) For(reading connections.Reading) connections.SecretReader {
	u.reading = reading
	return u
}

func (u turning) ReadSecret(_ context.Context, ref secret.Ref) (secret.Data, error) {
	*u.readings = append(*u.readings, u.reading)
	ref.Version = *u.version
	return secret.Data{Ref: ref, Keys: map[string]any{"password": secret.New(fmt.Sprintf("%s-password-%d", ref.Path, *u.version))}}, nil
}

func (u turning) Forget(ref secret.Ref) {
	*u.version++
	*u.forgot = append(*u.forgot, u.reading.Owner+" "+ref.Path)
}

// TestSharedStep has bob use ann's connection: it works, it is tried again when her
// secret was rotated, and nothing that bob sees names the secret or the host.
func TestSharedStep(t *testing.T) {
	t.Parallel()
	for right, secrets := range map[connections.Right]int{connections.RightUse: 0, connections.RightManage: 2} {
		types, err := all.Registry()
		if err != nil {
			t.Fatal(err)
		}
		reader := newTurning()
		resolver, err := connections.NewResolver(connections.ResolverConfig{Sources: []connections.Source{lender{right}}, Secrets: reader, Types: types})
		if err != nil {
			t.Fatal(err)
		}
		d, err := dispatch.New(dispatch.Config{Resolver: resolver, Secrets: reader, Tasks: types})
		if err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		scope, said := dispatch.NewScope([32]byte{}), ""
		out, failure := d.Do(t.Context(), dispatch.Step{
			Owner: "bob", Execution: "e1", Scope: scope, Files: root,
			Call: engine.Call{Kind: engine.CallConnect, Name: "ann/oracle", Inputs: map[string]any{
				"fail_times": int64(1), "fail_kind": "denied", "fail_auth": true, "counter": "tries",
			}},
			Emit: func(e engine.Event) { said += scope.Event(e).Message + "\n" },
		})
		if failure != nil {
			t.Fatalf("%s: %v", right, failure)
		}
		if out.Uses.Connection != "ann/oracle" || out.Uses.Revision != 4 || len(out.Uses.Secrets) != secrets || out.Tries != 2 {
			t.Errorf("%s: it used %+v in %d tries", right, out.Uses, out.Tries)
		}
		if !strings.Contains(said, "trying again") || right == connections.RightUse && strings.Contains(said, "secret/ann") {
			t.Errorf("%s: bob is told %s", right, said)
		}
		if len(*reader.forgot) != 1 || (*reader.forgot)[0] != "ann secret/ann" {
			t.Errorf("%s: forgotten is %q", right, *reader.forgot)
		}
		for _, reading := range *reader.readings {
			if want := (connections.Reading{User: "bob", Owner: "ann", Connection: "oracle", Execution: "e1"}); reading != want {
				t.Errorf("%s: a reading is %+v, want %+v", right, reading, want)
			}
		}
	}
}
