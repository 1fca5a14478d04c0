package connections_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
)

// shared is a source of what ann shares with bob, for whichever right.
type shared struct{ right connections.Right }

const annsValue = "host: ann-db.example.com\nport: 4711\nservice_name: ann-service\nuser: vault.secret(user)\npassword: vault.secret(secret/ann/oracle.password)\n"

func (s shared) Get(_ context.Context, owner, name string) (connections.Connection, error) {
	value, pinned := annsValue, []string(nil)
	switch {
	case owner == "bob" && name == "ann/oracle":
	case owner == "bob" && name == "ann/unread":
		value = strings.Replace(value, "secret/ann/oracle", "secret/ann/missing", 1)
	case owner == "bob" && name == "ann/broken":
		value = strings.Replace(value, "4711", "ann-is-no-number", 1)
	case owner == "bob" && name == "ann/short":
		value = strings.Replace(value, "secret/ann/oracle", "secret/ann/short", 1)
	default:
		return connections.Connection{}, connections.ErrNotFound
	}
	node, text, problems := connections.ParseValue("store:"+name, []byte(value))
	if len(problems) > 0 {
		return connections.Connection{}, &connections.InvalidError{Problems: problems}
	}
	return connections.Connection{
		Name: name, Type: "SQLORACLE", Value: node, Text: text, Owner: "ann", Shared: s.right, Description: "the books", Pinned: pinned,
		Labels: map[string]string{"ann-label": "x"}, Secrets: []connections.AttachedSecret{{Path: "secret/ann/attached", Keys: map[string]string{}}},
		Revision: 7, Origin: connections.Origin{Source: connections.SourceStore, Pos: schema.Pos{File: "store:" + name}},
	}, nil
}

func (s shared) List(ctx context.Context, owner string) ([]connections.Connection, error) {
	c, err := s.Get(ctx, owner, "ann/oracle")
	if err != nil {
		return nil, nil
	}
	return []connections.Connection{c}, nil
}

// vaults are a custodian's: it keeps account of what is read for whom.
type vaults struct {
	mu       sync.Mutex
	readings []string
}

type vaultsFor struct {
	*vaults
	reading connections.Reading
}

func (v *vaults) For(reading connections.Reading) connections.SecretReader {
	return vaultsFor{v, reading}
}

func (v *vaults) ReadSecret(context.Context, secret.Ref) (secret.Data, error) {
	return secret.Data{}, errors.New("read without a purpose")
}

func (v vaultsFor) ReadSecret(_ context.Context, ref secret.Ref) (secret.Data, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.readings = append(v.readings, fmt.Sprintf("%s: %s of %s, %s for %s", ref, v.reading.Connection, v.reading.Owner, v.reading.Execution, v.reading.User))
	if strings.HasSuffix(ref.Path, "missing") {
		return secret.Data{}, &secret.ReadError{Ref: ref, Reason: secret.Denied, Detail: "ann may not", Hint: "ann should ask"}
	}
	password := "ann-password"
	if strings.HasSuffix(ref.Path, "short") {
		password = "ann"
	}
	ref.Version = 3
	return secret.Data{Ref: ref, Keys: map[string]any{"user": secret.New("ann-user"), "password": secret.New(password)}}, nil
}

func sharedResolver(t *testing.T, right connections.Right) (*connections.Resolver, *vaults) {
	t.Helper()
	reader := &vaults{}
	files := newLab(t, map[string]string{"ann-file.yaml": "name: ann-file\ntype: GIT\n", "ann-broken.yaml": "name: ["})
	r, err := connections.NewResolver(connections.ResolverConfig{
		Sources: []connections.Source{connections.OnlyFor("ann", connections.NewDirs([]string{files.dir})), shared{right}, connections.NewDefaults(types())},
		Secrets: reader, Types: types(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, reader
}

// wantNothing looks for what is ann's in something that bob gets.
func wantNothing(t *testing.T, what string, v any) {
	t.Helper()
	text := fmt.Sprintf("%+v %v", v, v)
	if encoded, err := json.Marshal(v); err == nil {
		text += string(encoded)
	}
	text = strings.NewReplacer("ann/oracle", "", "ann/unread", "", "ann/broken", "", "ann/short", "", "Owner:ann ", "", `"Owner":"ann"`, "", " ann use ", "").Replace(text)
	for _, part := range []string{"ann", "4711", "attached"} {
		if at := strings.Index(text, part); at >= 0 {
			t.Errorf("%s tells %q: ...%.80s", what, part, text[max(0, at-30):])
		}
	}
}

func TestSharedForUseShowsNothing(t *testing.T) {
	t.Parallel()
	r, reader := sharedResolver(t, connections.RightUse)
	c, err := r.Get(t.Context(), "bob", "ann/oracle")
	if err != nil || c.Type != "SQLORACLE" || c.Description != "the books" || c.Shared != connections.RightUse {
		t.Fatalf("got %+v, %v", c, err)
	}
	wantNothing(t, "get", c)
	list, err := r.List(t.Context(), "bob")
	if err != nil || !slices.ContainsFunc(list, func(c connections.Connection) bool { return c.Name == "ann/oracle" }) {
		t.Errorf("the list is %+v, %v", list, err)
	}
	wantNothing(t, "list", list)
	overrides := map[string]any{"execute": "select 1"}
	explained, err := r.Explain(t.Context(), connections.Request{Owner: "bob", Name: "ann/oracle", Overrides: overrides})
	if err != nil || len(explained.Inputs) != 1 || explained.Inputs[0].Input != "execute" || len(explained.Problems) > 0 {
		t.Errorf("explained %+v, %v", explained, err)
	}
	wantNothing(t, "explain", explained)
	for _, reading := range reader.readings {
		if !strings.Contains(reading, " of ann, ") || !strings.HasSuffix(reading, " for bob") {
			t.Errorf("a reading is %s", reading)
		}
	}
}

func TestSharedFaultsShowNothing(t *testing.T) {
	t.Parallel()
	r, _ := sharedResolver(t, connections.RightUse)
	for _, name := range []string{"ann/unread", "ann/broken", "ann/short"} {
		explained, err := r.Explain(t.Context(), connections.Request{Owner: "bob", Name: name, Overrides: map[string]any{"sid": "x"}})
		if err != nil || name != "ann/short" && len(explained.Problems) == 0 {
			t.Errorf("%s: explained %+v, %v", name, explained, err)
		}
		wantNothing(t, "explain "+name, explained)
		resolved, err := r.Resolve(t.Context(), connections.Request{Owner: "bob", Name: name, Overrides: map[string]any{"sid": "x"}})
		if err == nil {
			t.Errorf("%s: it resolves", name)
		}
		wantNothing(t, "resolve "+name, err)
		wantNothing(t, "warnings of "+name, resolved.Warnings)
	}
}

func TestWhatIsNotSharedIsNotThere(t *testing.T) {
	t.Parallel()
	r, _ := sharedResolver(t, connections.RightUse)
	_, err := r.Get(t.Context(), "bob", "ann/file")
	wantNothing(t, "what is not shared", fmt.Sprint(strings.ReplaceAll(err.Error(), `"ann/file"`, "")))
	if len(r.Problems("bob")) > 0 {
		t.Errorf("bob is told of files that cannot be read")
	}
	if len(r.Problems("ann")) == 0 {
		t.Error("ann is not told of files that cannot be read")
	}
	if _, err := r.Get(t.Context(), "bob", "ann-file"); !errors.Is(err, connections.ErrNotFound) {
		t.Errorf("a file of ann's for bob: %v", err)
	}
}

// TestSharedResolves has bob's task get all of ann's inputs, and the scope all that
// must not be shown.
func TestSharedResolves(t *testing.T) {
	t.Parallel()
	r, reader := sharedResolver(t, connections.RightUse)
	resolved, err := r.Resolve(t.Context(), connections.Request{Owner: "bob", Execution: "e1", Name: "ann/oracle", Overrides: map[string]any{"execute": "select 1"}})
	if err != nil {
		t.Fatal(err)
	}
	in := resolved.Inputs
	if in.String("host") != "ann-db.example.com" || in.Secret("password").Reveal() != "ann-password" || in.String("execute") != "select 1" {
		t.Error("the inputs are not ann's with bob's laid over them")
	}
	masks := secret.NewRedactor()
	masks.Add(resolved.Masked...)
	if got := masks.String("dial ann-db.example.com:4711 ann-password"); got != "dial ***:4711 ***" {
		t.Errorf("an error would be shown as %q", got)
	}
	slices.Sort(reader.readings)
	want := []string{"secret/ann/attached: oracle of ann, e1 for bob", "secret/ann/oracle: oracle of ann, e1 for bob"}
	if diff := cmp.Diff(want, reader.readings); diff != "" {
		t.Errorf("readings (-want +got):\n%s", diff)
	}
}

func TestSharedDestinationsArePinned(t *testing.T) {
	t.Parallel()
	own := map[string]any{"host": "bobs", "password": "bobs-password", "user": "bob", "wallet_password": "bobs-own"}
	for _, test := range []struct {
		right connections.Right
		flow  map[string]any
		want  []string
	}{
		{connections.RightUse, map[string]any{"execute": "x"}, nil},
		{connections.RightUse, map[string]any{"service_name": "other"}, nil},
		{connections.RightUse, map[string]any{"host": "bobs"}, []string{"host"}},
		{connections.RightUse, map[string]any{"host": nil, "port": 1.0}, []string{"host", "port"}},
		{connections.RightUse, map[string]any{"port": nil}, []string{"port"}},
		{connections.RightUse, own, []string{"host"}}, // his own credentials do not get him ann's user name and service
		{connections.RightManage, map[string]any{"host": "bobs"}, []string{"host"}},
		{connections.RightManage, own, nil},
	} {
		r, _ := sharedResolver(t, test.right)
		_, err := r.Resolve(t.Context(), connections.Request{Owner: "bob", Name: "ann/oracle", Overrides: test.flow})
		var pinned *connections.PinnedError
		var got []string
		if errors.As(err, &pinned) {
			got = pinned.Inputs
			if test.right == connections.RightUse {
				wantNothing(t, "the refusal", err.Error()+pinned.Hint())
			}
		} else if err != nil {
			t.Errorf("%v: %v", test.flow, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s, %v (-want +got):\n%s", test.right, test.flow, diff)
		}
	}
}

func TestCheckManaged(t *testing.T) {
	t.Parallel()
	parse := func(text string) connections.Connection {
		all, problems := connections.Parse("c.yaml", []byte("name: c\ntype: SQLORACLE\n"+text))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return all[0]
	}
	const plain = "value: {host: a, user: u, password: secret-one}\n"
	const vaulted = "value: {host: a, user: u, service_name: s}\nsecrets: [path: secret/a]\n"
	const held = "value: {host: a, user: u, password: vault.secret(secret/a.password)}\n"
	for name, test := range map[string]struct {
		old, wanted string
		kept        []string
		fault       string
	}{
		"nothing":                           {plain, plain, []string{"password"}, ""},
		"another user":                      {plain, "value: {host: a, user: v, password: secret-one}\n", []string{"password"}, ""},
		"another host, password unseen":     {plain, "value: {host: b, user: u, password: secret-one}\n", []string{"password"}, `"host" changes where`},
		"another host, password typed":      {plain, "value: {host: b, user: u, password: secret-two}\n", nil, ""},
		"a port, password unseen":           {plain, "value: {host: a, port: 1, user: u, password: secret-one}\n", []string{"password"}, `"port" changes where`},
		"no host, password unseen":          {plain, "value: {user: u, password: secret-one}\n", []string{"password"}, `"host" changes where`},
		"another type":                      {plain, "type: GIT\nvalue: {password: secret-one}\n", []string{"password"}, `"type", "host" changes where`},
		"another host, attached":            {vaulted, "value: {host: b, user: u, service_name: s}\nsecrets: [path: secret/a]\n", nil, `"host" changes where`},
		"another host, given instead":       {vaulted, "value: {host: b, user: u, password: p}\n", nil, ""},
		"another secret":                    {vaulted, "value: {host: a, user: u, service_name: s}\nsecrets: [path: secret/b]\n", nil, "attached secrets"},
		"one more secret":                   {vaulted, "value: {host: a, user: u, service_name: s}\nsecrets: [path: secret/a, path: secret/b]\n", nil, "attached secrets"},
		"another version":                   {vaulted, "value: {host: a, user: u, service_name: s}\nsecrets: [{path: secret/a, version: 2}]\n", nil, "attached secrets"},
		"a key to a public input":           {vaulted, "value: {host: a, user: u, service_name: s}\nsecrets: [{path: secret/a, keys: {user: password}}]\n", nil, "attached secrets"},
		"a placeholder in a public input":   {vaulted, "value: {host: a, user: u, service_name: vault.secret(password)}\nsecrets: [path: secret/a]\n", nil, `vault.secret() in "service_name"`},
		"a placeholder moved":               {held, "value: {host: a, user: vault.secret(secret/a.password)}\n", nil, `vault.secret() in "user"`},
		"a placeholder deep inside":         {held, "value: {host: a, user: u, options: {x: ['vault.secret(secret/a.password)']}}\n", nil, `vault.secret() in "options"`},
		"the placeholder as it was":         {held, "value: {host: a, user: v, password: vault.secret(secret/a.password)}\n", nil, ""},
		"another host with the placeholder": {held, "value: {host: b, user: u, password: vault.secret(secret/a.password)}\n", nil, `"host" changes where`},
		"secrets gone, password unseen":     {"value: {host: a, user: u, password: p}\nsecrets: [path: secret/a]\n", "value: {host: a, user: u, password: p}\n", []string{"password"}, `"secrets" changes where`},
	} {
		old, wanted := parse(test.old), connections.Connection{}
		if strings.HasPrefix(test.wanted, "type: ") {
			all, _ := connections.Parse("c.yaml", []byte("name: c\n"+test.wanted))
			wanted = all[0]
		} else if strings.Count(test.wanted, "path: ") == 2 {
			wanted = parse(strings.Replace(test.wanted, "[path: secret/a, path: secret/b]", "[{path: secret/a}, {path: secret/b}]", 1))
		} else {
			wanted = parse(test.wanted)
		}
		err := connections.CheckManaged(types()["SQLORACLE"], old, wanted, test.kept)
		var managed *connections.ManagedError
		switch {
		case test.fault == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.fault != "" && (!errors.As(err, &managed) || !strings.Contains(err.Error(), test.fault) || managed.Hint() == ""):
			t.Errorf("%s: got %v, want %q", name, err, test.fault)
		}
	}
}
