package vaultint_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/testdata/servers"
	"github.com/weir-engine/weir/vaultint"
)

func TestSet(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	common := withToken(server, server.RootToken)
	production := withToken(server, server.Token(t, servers.TokenConfig{Policies: []string{server.Policy(t, mayRead(mount+"/data/*"))}}))
	production.Name = "production"
	broken := vaultint.Config{Name: "broken", Address: "vault", Auth: vaultint.Auth{Token: secret.New(canary)}}
	set, err := vaultint.NewSet(common, production, broken)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	if diff := cmp.Diff([]string{"broken", "default", "production"}, set.Names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	for _, name := range []string{"", "default", "production"} {
		ref := secret.Ref{Vault: name, Path: mount + "/oracle"}
		data, err := set.ReadSecret(t.Context(), ref)
		if err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		ref.Version = 1
		if data.Ref != ref {
			t.Errorf("got %+v, want %+v", data.Ref, ref)
		}
	}
	_, err = set.ReadSecret(t.Context(), secret.Ref{Vault: "prodution", Path: "secret/oracle"})
	failed := wantFailure(t, err, secret.Invalid, `there is no vault configuration "prodution"`)
	if want := "configured: production, "; !strings.HasPrefix(failed.Hint, want) {
		t.Errorf("got the hint %q, want the nearest name first", failed.Hint)
	}
	_, err = set.ReadSecret(t.Context(), secret.Ref{Vault: "broken", Path: "secret/oracle"})
	wantFailure(t, err, secret.Invalid, `vault configuration "broken": address is not like`)

	set.Close()
	_, err = set.ReadSecret(t.Context(), secret.Ref{Path: mount + "/oracle"})
	wantFailure(t, err, secret.Unreachable, "closed")
}

func TestSetNames(t *testing.T) {
	t.Parallel()
	if _, err := vaultint.NewSet(vaultint.Config{}, vaultint.Config{Name: "default"}); err == nil {
		t.Error("got no error for two configurations of one name")
	}
	set, err := vaultint.NewSet()
	if err != nil {
		t.Fatal(err)
	}
	_, err = set.ReadSecret(t.Context(), secret.Ref{Path: "secret/oracle"})
	wantFailure(t, err, secret.Invalid, "weir vault add")
}
