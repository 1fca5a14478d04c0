package connections_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections"
)

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func gitFile(name, ref string) string {
	return "name: " + name + "\ntype: GIT\nvalue: {ref: " + ref + "}\n"
}

func refOf(t *testing.T, d *connections.Dirs, name string) string {
	t.Helper()
	c, err := d.Get(t.Context(), "ann", name)
	if err != nil {
		return err.Error()
	}
	if c.Owner != "ann" {
		t.Errorf("got owner %q, want the one who asked", c.Owner)
	}
	ref, _ := c.Value.Get("ref")
	return ref.Scalar.Text
}

func TestDirsUnionFirstWins(t *testing.T) {
	t.Parallel()
	one, two := t.TempDir(), t.TempDir()
	writeFiles(t, one, map[string]string{
		"b.yaml":        gitFile("lib", "one") + "---\n" + gitFile("zoo", "one"),
		"c.yml":         gitFile("lib", "twin"),
		"broken.yaml":   "name: broken\n\ttype: GIT\n",
		"half.yaml":     gitFile("good", "one") + "---\nname: bad\ntype: GIT\nvaule: {}\n---\n[\n",
		".hidden.yaml":  gitFile("hidden", "x"),
		"notes.txt":     gitFile("notes", "x"),
		"sub/deep.yaml": gitFile("deep", "x"),
	})
	writeFiles(t, two, map[string]string{"x.yaml": gitFile("lib", "two") + "---\n" + gitFile("only", "two")})
	missing := filepath.Join(two, "missing")
	d := connections.NewDirs([]string{one, missing, two})

	for name, want := range map[string]string{"lib": "one", "zoo": "one", "only": "two", "good": "one", "hidden": "no such connection", "deep": "no such connection"} {
		if got := refOf(t, d, name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	short := strings.NewReplacer(one, "one", two, "two").Replace
	all, err := d.List(t.Context(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range all {
		line := c.Name + " " + c.Origin.String()
		for _, pos := range c.Origin.Hides {
			line += " hides " + pos.String()
		}
		names = append(names, short(line))
	}
	want := []string{"good one/half.yaml:1", "lib one/b.yaml:1 hides one/c.yml:1 hides two/x.yaml:1", "only two/x.yaml:5", "zoo one/b.yaml:5"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	var problems []string
	for _, p := range d.Problems() {
		problems = append(problems, short(p.String()))
	}
	wantProblems := []string{
		`one/c.yml:1: connection "lib" stands already at one/b.yaml:1; this one is not used`,
		`one/broken.yaml:2: the line is indented with a tab`,
		`one/half.yaml:9: a value is missing or cannot start like this`,
		`one/half.yaml:7: unknown field "vaule"`,
		`two/missing: cannot read the directory: no such file or directory`,
	}
	if diff := cmp.Diff(wantProblems, problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	var invalid *connections.InvalidError
	if _, err := d.Get(t.Context(), "", "bad"); !errors.As(err, &invalid) || invalid.Connection != "bad" {
		t.Errorf("got %v, want what is wrong with the connection", err)
	}
}

func TestDirsSeeChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"a.yaml": gitFile("lib", "v1"), "b.yaml": gitFile("other", "v1")})
	d := connections.NewDirs([]string{dir})
	want := func(name, ref string) {
		t.Helper()
		if got := refOf(t, d, name); got != ref {
			t.Errorf("%s: got %q, want %q", name, got, ref)
		}
	}
	want("lib", "v1")
	writeFiles(t, dir, map[string]string{"a.yaml": gitFile("lib", "v2")})
	want("lib", "v2")
	writeFiles(t, dir, map[string]string{"c.yaml": gitFile("fresh", "v1")})
	want("fresh", "v1")
	if err := os.Remove(filepath.Join(dir, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	want("lib", "no such connection")
	writeFiles(t, dir, map[string]string{"b.yaml": gitFile("renamed", "v1")})
	want("other", "no such connection")
	if _, err := d.List(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	want("renamed", "v1")
}

func TestDirsGiveCopies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"a.yaml": "name: a\ntype: GIT\nvalue: {x: [1], y: {z: 1}}\nlabels: {l: m}\nsecrets: [{path: secret/p, keys: [k]}]\npinned: [ref]\n"})
	d := connections.NewDirs([]string{dir})
	want, _ := d.Get(t.Context(), "", "a")
	c, _ := d.Get(t.Context(), "", "a")
	c.Value.Entries[0].Key = "changed"
	c.Value.Entries[0].Value.Items[0].Scalar.Text = "changed"
	c.Value.Entries[1].Value.Entries[0].Key = "changed"
	c.Labels["l"], c.Secrets[0].Keys["k"], c.Secrets[0].Path, c.Pinned[0] = "changed", "changed", "changed", "changed"
	got, _ := d.Get(t.Context(), "", "a")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a change reached the source (-want +got):\n%s", diff)
	}
}

func TestHugeAndUnreadableFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{
		"big.yaml":  "name: big\ntype: GIT\nvalue:\n  x: " + strings.Repeat("x", 10<<20) + "\n",
		"good.yaml": gitFile("good", "v1"),
	})
	if err := os.Symlink(filepath.Join(dir, "gone"), filepath.Join(dir, "dangling.yaml")); err != nil {
		t.Fatal(err)
	}
	d := connections.NewDirs([]string{dir})
	if got := refOf(t, d, "good"); got != "v1" {
		t.Errorf("got %q, want v1", got)
	}
	var got []string
	for _, p := range d.Problems() {
		got = append(got, strings.ReplaceAll(p.String(), dir+"/", ""))
	}
	want := []string{
		"big.yaml:1: the document has 10485793 bytes; at most 1048576 (1 MiB) are allowed",
		"dangling.yaml: cannot read the file: no such file or directory",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
