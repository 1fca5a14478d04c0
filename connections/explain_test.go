package connections_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/secret"
)

// table gives an explanation as lines, as a command line would show it.
func table(e connections.Explanation) []string {
	var lines []string
	for _, in := range e.Inputs {
		value, _ := json.Marshal(in.Value)
		line := fmt.Sprintf("%s = %s | %s | %s", in.Input, value, in.Layer, in.From)
		if len(in.Shadowed) > 0 {
			line += " | shadowed: " + strings.Join(in.Shadowed, ", ")
		}
		if in.Pinned {
			line += " | pinned"
		}
		lines = append(lines, line)
	}
	for _, s := range e.Secrets {
		line := fmt.Sprintf("secret %s@%d age %s surplus %v", s.Path, s.Version, s.Age, s.Surplus)
		if s.CachedUntil != nil {
			line += " cached until " + s.CachedUntil.Format(time.TimeOnly)
		}
		if len(s.Metadata) > 0 {
			line += fmt.Sprint(" ", s.Metadata)
		}
		lines = append(lines, line+" "+s.Problem)
	}
	for _, w := range e.Warnings {
		lines = append(lines, "warning: "+w)
	}
	for _, p := range e.Problems {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("problem: %s %s (%s)", p.Where, p.Message, p.Hint)))
	}
	return lines
}

func TestExplain(t *testing.T) {
	t.Parallel()
	const hidden = "tiger-password"
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	reader := memory{"secret/oracle": {
		Ref:         secret.Ref{Path: "secret/oracle", Version: 3},
		Keys:        map[string]any{"password": secret.New(hidden), "port": secret.Of(json.Number("1600")), "pw2": secret.New("abc"), "extra": secret.New(hidden)},
		Created:     now.Add(-25 * time.Hour),
		CachedUntil: now.Add(30 * time.Second),
		Metadata:    map[string]string{"owner": "ann", "careless": "it is " + hidden},
	}}
	l := newLab(t, map[string]string{"oracle.yaml": `
name: oracle
type: SQLORACLE
value:
  host: h
  port: 1
  service_name: xe
  user: u
  wallet_password: vault.secret(pw2)
  execute: 'x vault.secret(password) vault.secret(pw2)'
  options: {a: vault.secret(password), b: 5}
  params: 0123
secrets: [{path: secret/oracle}]
pinned: [host]
`})
	resolver, err := connections.NewResolver(connections.ResolverConfig{
		Sources: []connections.Source{connections.NewDirs([]string{l.dir})}, Secrets: reader, Types: types(),
		Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	e, err := resolver.Explain(t.Context(), connections.Request{Name: "oracle", Overrides: map[string]any{"service_name": nil, "sid": "orcl", "params": nil}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`host = "h" | value | oracle.yaml:5 | pinned`,
		`port = 1600 | secret | secret/oracle@3#port | shadowed: value oracle.yaml:6`,
		`service_name = null | flow |  | shadowed: value oracle.yaml:7`,
		`sid = "orcl" | flow | `,
		`user = "u" | value | oracle.yaml:8`,
		`password = "***" | secret | secret/oracle@3#password`,
		`wallet_password = "***" | secret | secret/oracle@3#pw2 (oracle.yaml:9)`,
		`execute = "***" | secret | secret/oracle@3#password, secret/oracle@3#pw2 (oracle.yaml:10)`,
		`params = null | flow |  | shadowed: value oracle.yaml:12`,
		`options = {"a":"***","b":5} | secret | secret/oracle@3#password (oracle.yaml:11)`,
		`secret secret/oracle@3 age 25h surplus [extra] cached until 12:00:30 map[careless:it is *** owner:ann] `,
		`warning: "wallet_password" (secret secret/oracle@3#pw2) holds a secret shorter than 6 bytes: it is not masked where it appears`,
		`warning: "execute" (secret secret/oracle@3#password) holds a secret shorter than 6 bytes: it is not masked where it appears`,
	}
	got := table(e)
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], l.dir+"/", "")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text, _ := json.Marshal(e); strings.Contains(string(text), hidden) || strings.Contains(string(text), "abc") {
		t.Errorf("a secret shows: %s", text)
	}
}

func TestExplainTellsAges(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for age, want := range map[time.Duration]string{
		-time.Hour: "0s", 0: "0s", 119 * time.Second: "119s", 2 * time.Minute: "2m", 119 * time.Minute: "119m",
		2 * time.Hour: "2h", 47*time.Hour + 59*time.Minute: "47h", 48 * time.Hour: "2d", 9000 * time.Hour: "375d",
	} {
		created := now.Add(-age)
		l := newLab(t, map[string]string{"a.yaml": "name: a\ntype: GIT\nsecrets: [{path: secret/a, version: 4}, {path: secret/b, version: 7}]\n"})
		resolver, err := connections.NewResolver(connections.ResolverConfig{
			Sources: []connections.Source{connections.NewDirs([]string{l.dir})}, Types: types(), Now: func() time.Time { return now },
			Secrets: memory{"secret/a": {Ref: secret.Ref{Path: "secret/a", Version: 4}, Created: created}},
		})
		if err != nil {
			t.Fatal(err)
		}
		e, err := resolver.Explain(t.Context(), connections.Request{Name: "a"})
		if err != nil {
			t.Fatal(err)
		}
		want := []connections.ExplainedSecret{
			{Path: "secret/a", Version: 4, Created: &created, Age: want},
			{Path: "secret/b", Version: 7, Reason: secret.NotFound, Problem: `read secret "secret/b@7": not found`},
		}
		if diff := cmp.Diff(want, e.Secrets); diff != "" {
			t.Errorf("%s (-want +got):\n%s", age, diff)
		}
	}
}

func TestExplainWorksWithoutSecretsAndWithProblems(t *testing.T) {
	t.Parallel()
	const hidden = "hunter2-canary"
	l := newLab(t, map[string]string{"oracle.yaml": `
name: oracle
type: SQLORACLE
value: {host: h, pasword: ` + hidden + `, port: x, user: vault.secret(user), wallet_password: ` + hidden + `}
secrets: [{path: secret/oracle, version: 4}]
`})
	e := l.explain(t, "oracle", map[string]any{"password": hidden})
	got := table(e)
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], l.dir+"/", "")
	}
	want := []string{
		`host = "h" | value | oracle.yaml:4`,
		`port = "x" | value | oracle.yaml:4`,
		`user = null | secret | placeholder at oracle.yaml:4`,
		`password = "***" | flow | `,
		`wallet_password = "***" | value | oracle.yaml:4`,
		`pasword = "***" | value | oracle.yaml:4`,
		`secret secret/oracle@4 age  surplus [] read secret "secret/oracle@4": invalid: no source of secrets is configured`,
		`warning: oracle.yaml:4: "wallet_password" stands in a file as plain text; attach a secret instead`,
		`problem:  read secret "secret/oracle@4": invalid: no source of secrets is configured (add a Vault configuration, or a file of secrets for development)`,
		`problem: oracle.yaml:4 "port" must be a whole number, not this text ()`,
		`problem: oracle.yaml:4 unknown input "pasword" (did you mean "password"?)`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text, _ := json.Marshal(e); strings.Contains(string(text), hidden) {
		t.Errorf("a secret shows: %s", text)
	}
}

func TestExplainShowsDefaultsPinsAndWhatIsHidden(t *testing.T) {
	t.Parallel()
	l := newLab(t, map[string]string{
		"a.yaml": "name: git.default\ntype: git\nvalue: {repository_url: x, ref: main, command: get}\npinned: [ref]\n",
	})
	e := l.explain(t, "git.default", map[string]any{"ref": "other", "command": nil})
	want := []string{
		`command = "metadata" | default |  | shadowed: flow, value a.yaml:3`,
		`repository_url = "x" | value | a.yaml:3`,
		`ref = "other" | flow |  | shadowed: value a.yaml:3 | pinned`,
		`depth = 0 | default | `,
		`problem:  connection "git.default": a flow may not override "ref": pinned by its owner (leave it out, or bring your own credentials for every secret of the connection)`,
	}
	got := table(e)
	for i := range got {
		got[i] = strings.ReplaceAll(got[i], l.dir+"/", "")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if e.Source != "file" || e.Where != l.dir+"/a.yaml:1" || len(e.Hides) != 1 || e.Hides[0] != "default" {
		t.Errorf("got source %q, where %q, hides %v", e.Source, e.Where, e.Hides)
	}
	unknown := newLab(t, map[string]string{"a.yaml": "name: a\ntype: GTI\nvalue: {password: hunter2-canary}\n"}).explain(t, "a", nil)
	if got := table(unknown); len(got) != 2 || !strings.Contains(got[0], `password = "***"`) || !strings.Contains(got[1], `unknown task type "GTI"`) {
		t.Errorf("got %q", got)
	}
}
