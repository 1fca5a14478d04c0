package connections_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/secret"
)

func TestResolveReportsAllProblems(t *testing.T) {
	t.Parallel()
	l := newLab(t, map[string]string{
		secretsName:   vaultFile,
		"oracle.yaml": "name: oracle\ntype: SQLORACLE\nvalue:\n  prot: 1\n  port: vault.secret(user)\n  sid: x\n  service_name: y\nsecrets: [{path: secret/oracle, keys: []}]\n",
	})
	got, err := l.fail(t, "oracle", map[string]any{"user": []any{}, "pasword": "typed"})
	want := `connection "oracle": 7 problems
  "host" is required
  oracle.yaml:5: "port" must be a whole number, not this text (from secret secret/oracle#user)
  "user" must be a text, not a list (from the flow)
  "password" is required
  unknown input "pasword" (from the flow) (did you mean "password"?)
  oracle.yaml:4: unknown input "prot" (did you mean "port"?)
  oracle.yaml:6: "service_name" (value oracle.yaml:7) and "sid" (value oracle.yaml:6) exclude each other (give one of them; a null in the flow takes an input away)`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var invalid *connections.InvalidError
	if !errors.As(err, &invalid) || invalid.Connection != "oracle" || len(invalid.Problems) != 7 {
		t.Errorf("got %#v", err)
	}
}

func TestTaskWithoutConnection(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	resolved, err := l.resolver.Resolve(t.Context(), connections.Request{Type: "git", Overrides: map[string]any{"repository_url": "x", "password": "some-password"}})
	if err != nil {
		t.Fatal(err)
	}
	if resolved.Connection.Type != "GIT" || resolved.Inputs.String("repository_url") != "x" || len(resolved.Masked) != 1 {
		t.Errorf("got %+v", resolved)
	}
	_, err = l.resolver.Resolve(t.Context(), connections.Request{Type: "gti"})
	if want := `inputs: unknown task type "GTI"`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if hint := hintOf(err); hint != `did you mean "GIT"?` {
		t.Errorf("got hint %q", hint)
	}
	_, err = l.resolver.Resolve(t.Context(), connections.Request{Type: "GIT", Overrides: map[string]any{"repo": "x"}})
	if want := "inputs: 2 problems\n  \"repository_url\" is required\n  unknown input \"repo\" (from the flow) (did you mean \"repository_url\"?)"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestNotFoundNamesTheNearest(t *testing.T) {
	t.Parallel()
	l := newLab(t, map[string]string{"a.yaml": gitFile("library", "x")})
	got, err := l.fail(t, "libary", nil)
	if want := `no such connection: "libary"`; got != want || !errors.Is(err, connections.ErrNotFound) {
		t.Errorf("got %q, want %q", got, want)
	}
	var missing *connections.NotFoundError
	if !errors.As(err, &missing) || missing.Hint() != `did you mean "library"?` {
		t.Errorf("got %#v", err)
	}
	l.write(t, "b.yaml", "name: zebra\n\ttype: GIT\n")
	_, err = l.fail(t, "zebra", nil)
	errors.As(err, &missing)
	if want := "it may be in a file that cannot be read: " + l.dir + "/b.yaml:2: the line is indented with a tab"; missing.Hint() != want {
		t.Errorf("got hint %q, want %q", missing.Hint(), want)
	}
}

func TestDefaultsAreFoundLastAndCanBeReplaced(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	in := l.resolve(t, "git.default", map[string]any{"repository_url": "x"}).Inputs
	if in.Int("depth") != 1 {
		t.Errorf("got depth %d, want the implicit connection's", in.Int("depth"))
	}
	l.write(t, "own.yaml", "name: git.default\ntype: GIT\nvalue: {depth: 9}\n")
	if in = l.resolve(t, "git.default", map[string]any{"repository_url": "x"}).Inputs; in.Int("depth") != 9 {
		t.Errorf("got depth %d, want the file's", in.Int("depth"))
	}
	all, err := l.resolver.List(t.Context(), "ann")
	if err != nil || len(all) != 1 || len(all[0].Origin.Hides) != 1 || all[0].Origin.Hides[0].String() != "default" {
		t.Errorf("got %+v, %v", all, err)
	}
	for _, name := range []string{"sqloracle.default", "GIT.default", "git"} {
		if got, _ := l.fail(t, name, nil); !strings.HasPrefix(got, "no such connection") {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

// counting counts reads and lets none end before as many have begun as it waits for.
type counting struct {
	memory
	mu    sync.Mutex
	count map[secret.Ref]int
	begun sync.WaitGroup
}

func (c *counting) ReadSecret(ctx context.Context, ref secret.Ref) (secret.Data, error) {
	c.mu.Lock()
	c.count[ref]++
	c.mu.Unlock()
	c.begun.Done()
	c.begun.Wait()
	return c.memory.ReadSecret(ctx, ref)
}

func TestSecretsAreReadOnceAndSideBySide(t *testing.T) {
	t.Parallel()
	data := func(path, key string) secret.Data {
		return secret.Data{Ref: secret.Ref{Path: path, Version: 3}, Keys: map[string]any{key: secret.New("value-of-" + key)}}
	}
	reader := &counting{memory: memory{"secret/a": data("secret/a", "password"), "secret/b": data("secret/b", "user"), "secret/c": data("secret/c", "k")}, count: map[secret.Ref]int{}}
	reader.begun.Add(3) // would block for ever if they were read one after the other, or panic if more were read
	l := newLab(t, map[string]string{"o.yaml": `
name: o
type: SQLORACLE
value: {host: 'vault.secret(secret/c.k)', execute: 'vault.secret(secret/c.k) vault.secret(default:secret/a.password)'}
secrets: [{path: secret/a}, {path: secret/b/}, {path: secret/a, vault: default, keys: []}]
`})
	resolver, err := connections.NewResolver(connections.ResolverConfig{
		Sources: []connections.Source{connections.NewDirs([]string{l.dir})}, Secrets: reader, Types: types(),
	})
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := resolver.Resolve(t.Context(), connections.Request{Name: "o"})
	if err != nil {
		t.Fatal(err)
	}
	for ref, n := range reader.count {
		if n != 1 {
			t.Errorf("%s was read %d times", ref, n)
		}
	}
	var want []secret.Data
	for _, path := range []string{"secret/a", "secret/b", "secret/c"} {
		want = append(want, secret.Data{Ref: secret.Ref{Path: path, Version: 3}})
	}
	if diff := cmp.Diff(want, resolved.Uses); diff != "" {
		t.Errorf("uses (-want +got):\n%s", diff)
	}
}

func TestUnreadableSecrets(t *testing.T) {
	t.Parallel()
	l := newLab(t, oracleFile("port: wrong\nexecute: vault.secret(user)\n", "secrets: [{path: secret/gone}, {path: secret/lost, vault: prod}]\n"))
	got, err := l.fail(t, "oracle", nil)
	var read *secret.ReadError
	if !errors.As(err, &read) || read.Reason != secret.NotFound {
		t.Errorf("got %v, want a *secret.ReadError", err)
	}
	if !strings.Contains(got, `read secret "secret/gone"`) || !strings.Contains(got, `read secret "prod:secret/lost"`) {
		t.Errorf("got %s, want both secrets named", got)
	}
	none, err := connections.NewResolver(connections.ResolverConfig{Sources: []connections.Source{connections.NewDirs([]string{l.dir})}, Types: types()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = none.Resolve(t.Context(), connections.Request{Name: "oracle"})
	if !errors.As(err, &read) || read.Detail != "no source of secrets is configured" {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.resolver.Resolve(ctx, connections.Request{Name: "oracle"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestFailedResolveStillMasks(t *testing.T) {
	t.Parallel()
	l := newLab(t, oracleFile("prot: 1\n", "secrets: [path: secret/oracle]\n"))
	resolved, err := l.resolver.Resolve(t.Context(), connections.Request{Name: "oracle"})
	if err == nil || len(resolved.Masked) == 0 {
		t.Errorf("got error %v and %d masked secrets", err, len(resolved.Masked))
	}
}
