package vaultint_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/testdata/servers"
	"github.com/weir-engine/weir/vaultint"
)

func TestPathForms(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	v2, v1, deep := server.MountKV(t, 2), server.MountKV(t, 1), "deep/"+server.MountKV(t, 1)+"/kv"
	server.MountKVAt(t, deep, 2)
	for _, mount := range []string{v2, deep} {
		server.PutKV(t, mount, "team/oracle", map[string]any{"at": "team/oracle"})
		server.PutKV(t, mount, "data/oracle", map[string]any{"at": "data/oracle"})
		server.PutKV(t, mount, "oracle", map[string]any{"at": "oracle"})
	}
	server.PutKV1(t, v1, "team/oracle", map[string]any{"at": "team/oracle"})
	server.PutKV1(t, v1, "data/oracle", map[string]any{"at": "data/oracle"})

	tests := map[string]struct {
		ref  secret.Ref
		want string
	}{
		"API form":                        {secret.Ref{Path: v2 + "/data/team/oracle"}, "team/oracle"},
		"command line form":               {secret.Ref{Path: v2 + "/team/oracle"}, "team/oracle"},
		"slashes at the ends":             {secret.Ref{Path: "/" + v2 + "/team/oracle/"}, "team/oracle"},
		"one segment":                     {secret.Ref{Path: v2 + "/oracle"}, "oracle"},
		"data named data, API form":       {secret.Ref{Path: v2 + "/data/data/oracle"}, "data/oracle"},
		"mount apart":                     {secret.Ref{Mount: v2, Path: "team/oracle"}, "team/oracle"},
		"mount apart, exactly":            {secret.Ref{Mount: v2 + "/", Path: "data/oracle"}, "data/oracle"},
		"deep mount, API form":            {secret.Ref{Path: deep + "/data/team/oracle"}, "team/oracle"},
		"deep mount, command line":        {secret.Ref{Path: deep + "/team/oracle"}, "team/oracle"},
		"deep mount apart":                {secret.Ref{Mount: deep, Path: "team/oracle"}, "team/oracle"},
		"version 1":                       {secret.Ref{Path: v1 + "/team/oracle"}, "team/oracle"},
		"version 1, mount apart":          {secret.Ref{Mount: v1, Path: "team/oracle"}, "team/oracle"},
		"version 1, a name with data":     {secret.Ref{Path: v1 + "/data/oracle"}, "data/oracle"},
		"version 1, mount apart and data": {secret.Ref{Mount: v1, Path: "data/oracle"}, "data/oracle"},
	}
	silent := front(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/v1/sys/") {
			refuse(w)
			return true
		}
		return false
	})
	// Vault tells of the mount; it does not; the configuration does.
	ways := map[string]vaultint.Config{
		"detected": withToken(server, server.RootToken),
		"guessed":  withToken(server, server.RootToken),
		"given":    withToken(server, server.RootToken),
	}
	for way, config := range ways {
		switch way {
		case "guessed":
			config.Address = silent
		case "given":
			config.Mounts = map[string]int{v1: 1, v2 + "/": 2, deep: 2}
		}
		for name, test := range tests {
			t.Run(way+"/"+name, func(t *testing.T) {
				t.Parallel()
				// A client each, so that none profits from what another one found.
				if got := text(t, newClient(t, config), test.ref, "at"); got != test.want {
					t.Errorf("got the secret %q, want %q", got, test.want)
				}
			})
		}
	}
}

// A policy with nothing but read below one folder is enough, in each form, whether
// Vault tells of the mount or not.
func TestLeastPrivilege(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "team/oracle", map[string]any{"user": "scott"})
	token := server.Token(t, servers.TokenConfig{Bare: true, Policies: []string{server.Policy(t, mayRead(mount+"/data/team/*"))}})
	silent := front(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/v1/sys/") {
			refuse(w)
			return true
		}
		return false
	})
	for _, address := range []string{server.Address, silent} {
		for _, path := range []string{mount + "/data/team/oracle", mount + "/team/oracle"} {
			config := withToken(server, token)
			config.Address = address
			client := newClient(t, config)
			for range 2 {
				if got := text(t, client, secret.Ref{Path: path}, "user"); got != "scott" {
					t.Errorf("%s: got %q, want scott", path, got)
				}
			}
		}
	}
}

func TestVersionsAndMetadata(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	start := time.Now().Add(-time.Minute)
	for _, password := range []string{"one", "two", "three"} {
		server.PutKV(t, mount, "oracle", map[string]any{"password": password})
	}
	server.PutMetadata(t, mount, "oracle", map[string]string{"owner": "dba"})
	client := reader(t, server, mount+"/data/*")

	newest := read(t, client, secret.Ref{Path: mount + "/oracle"})
	if want := (secret.Ref{Path: mount + "/oracle", Version: 3}); newest.Ref != want {
		t.Errorf("got %+v, want %+v", newest.Ref, want)
	}
	if diff := cmp.Diff(map[string]string{"owner": "dba"}, newest.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if newest.Created.Before(start) || newest.Created.After(time.Now().Add(time.Minute)) {
		t.Errorf("got created %v, want about now", newest.Created)
	}
	pinned := secret.Ref{Path: mount + "/data/oracle", Version: 2}
	if got := text(t, client, pinned, "password"); got != "two" {
		t.Errorf("got %q, want version 2's two", got)
	}
	if got := read(t, client, pinned).Ref.Version; got != 2 {
		t.Errorf("got version %d, want 2", got)
	}
}

func TestValuesKeepTheirTypes(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	v2, v1 := server.MountKV(t, 2), server.MountKV(t, 1)
	written := map[string]any{
		"text": "x", "port": json.Number("1521"), "ratio": json.Number("1.5"),
		"on": true, "none": nil, "empty": map[string]any{}, "list": []any{"a", json.Number("1"), []any{}},
		"nested": map[string]any{"deep": map[string]any{"password": "p"}},
	}
	server.PutKV(t, v2, "typed", written)
	server.PutKV1(t, v1, "typed", written)
	server.PutKV(t, v2, "bare", map[string]any{})
	// KV version 2 itself keeps numbers as float64; version 1 keeps what was written.
	server.PutKV1(t, v1, "exact", map[string]any{"big": json.Number("9007199254740993"), "ratio": json.Number("1.50")})
	client := newClient(t, withToken(server, server.RootToken))
	for _, mount := range []string{v2, v1} {
		got := read(t, client, secret.Ref{Path: mount + "/typed"})
		if diff := cmp.Diff(any(written), reveal(t, got.Keys)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", mount, diff)
		}
	}
	for key, want := range map[string]string{"big": "9007199254740993", "ratio": "1.50"} {
		if got := text(t, client, secret.Ref{Path: v1 + "/exact"}, key); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := read(t, client, secret.Ref{Path: v2 + "/bare"}); len(got.Keys) != 0 {
		t.Errorf("got %d keys, want none", len(got.Keys))
	}
}

// A secret as large as Vault takes it, and keys that look like paths.
func TestLargeSecretAndOddKeys(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	v2, v1 := server.MountKV(t, 2), server.MountKV(t, 1)
	large := strings.Repeat("0123456789abcde\n", 1<<16) // 1 MiB
	written := map[string]any{
		"db.example.com": "dots", "a/b": "slash", "with space": "space", "data": "data", "": "empty", "ü": "umlaut",
		"tls.key": large, "nested.map": map[string]any{"deep.key": []any{map[string]any{"x.y": "z"}}},
	}
	server.PutKV(t, v2, "app.prod/db.main", written)
	server.PutKV1(t, v1, "app.prod/db.main", written)
	server.PutMetadata(t, v2, "app.prod/db.main", map[string]string{"owner.team": "dba", "ticket": "OPS-1"})
	client := newClient(t, withToken(server, server.RootToken))
	for _, mount := range []string{v2, v1} {
		got := read(t, client, secret.Ref{Path: mount + "/app.prod/db.main"})
		if diff := cmp.Diff(any(written), reveal(t, got.Keys)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", mount, diff)
		}
		if want := (map[string]string{"owner.team": "dba", "ticket": "OPS-1"}); mount == v2 && !cmp.Equal(want, got.Metadata) {
			t.Errorf("got the metadata %v, want %v", got.Metadata, want)
		}
		if got.Metadata != nil != (mount == v2) || got.Created.IsZero() != (mount == v1) {
			t.Errorf("%s: got the metadata %v of %s", mount, got.Metadata, got.Created)
		}
	}
}

// reveal checks that each leaf is a secret and gives the tree in the clear.
func reveal(t *testing.T, node any) any {
	t.Helper()
	switch node := node.(type) {
	case map[string]any:
		tree := map[string]any{}
		for key, child := range node {
			tree[key] = reveal(t, child)
		}
		return tree
	case []any:
		list := []any{}
		for _, child := range node {
			list = append(list, reveal(t, child))
		}
		return list
	case secret.Value:
		return node.RevealAny()
	default:
		t.Errorf("a leaf is a %T, want a secret.Value", node)
		return nil
	}
}

// What kind a mount is of is asked once, however many read at the same time.
func TestMountIsDetectedOnce(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	for range 10 {
		server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	}
	client := reader(t, server, mount+"/data/*")
	var readers sync.WaitGroup
	for version := range 11 { // the newest, and one each
		readers.Go(func() {
			if _, err := client.ReadSecret(t.Context(), secret.Ref{Path: mount + "/oracle", Version: version}); err != nil {
				t.Error(err)
			}
		})
	}
	readers.Wait()
	if got := server.Requests(t, "sys/internal/ui/mounts/"+mount+"/oracle"); got != 1 {
		t.Errorf("the mount was asked for %d times, want once", got)
	}
	if got := server.Requests(t, mount+"/data/oracle"); got != 21 { // ten of them wrote it
		t.Errorf("got %d requests for the secret, want 21", got)
	}
}

// A client that knows a mount notices when another kind of mount takes its place.
func TestMountIsReplaced(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 1)
	server.PutKV1(t, mount, "oracle", map[string]any{"kind": "1"})
	client := newClient(t, withToken(server, server.RootToken))
	for _, version := range []int{2, 1} {
		read(t, client, secret.Ref{Path: mount + "/oracle"})
		server.Do(t, http.MethodDelete, "sys/mounts/"+mount, nil)
		server.MountKVAt(t, mount, version)
		if version == 2 {
			server.PutKV(t, mount, "oracle", map[string]any{"kind": "2"})
		} else {
			server.PutKV1(t, mount, "oracle", map[string]any{"kind": "1"})
		}
		want := map[int]string{1: "1", 2: "2"}[version]
		if got := text(t, client, secret.Ref{Path: mount + "/oracle"}, "kind"); got != want {
			t.Errorf("got the secret of KV version %s, want %s", got, want)
		}
	}
}
