package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/store"
)

// watchRig is a directory that is watched, by looks that the test makes.
type watchRig struct {
	t     testing.TB
	dir   string
	store *store.Store
	watch *flowWatch
	log   bytes.Buffer
}

func newWatchRig(t testing.TB, others ...string) *watchRig {
	t.Helper()
	r := &watchRig{t: t, dir: t.TempDir()}
	var err error
	if r.store, err = store.Open(t.Context(), store.Config{Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.store.Close() })
	r.restart(others...)
	return r
}

// restart has another watch on the same store and directory.
func (r *watchRig) restart(others ...string) {
	r.t.Helper()
	var err error
	if r.watch, err = newFlowWatch(r.t.Context(), r.store, append([]string{r.dir}, others...), slog.New(slog.NewTextHandler(&r.log, nil))); err != nil {
		r.t.Fatal(err)
	}
}

// first is the look of a start.
func (r *watchRig) first() { r.watch.look(r.t.Context(), true) }

// look is one of those that follow.
func (r *watchRig) look() { r.watch.look(r.t.Context(), false) }

// write puts a file there as an editor does that is careful: in one step.
func (r *watchRig) write(name, text string) {
	r.t.Helper()
	file := filepath.Join(r.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		r.t.Fatal(err)
	}
}

// flows gives "name@version text" of all flows.
func (r *watchRig) flows() (all []string) {
	r.t.Helper()
	found, err := r.store.Flows().List(r.t.Context(), localOwner)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range found {
		_, text, err := r.store.Flows().Get(r.t.Context(), localOwner, f.Name, 0)
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s@%d %s", f.Name, f.Version, text))
	}
	return all
}

func (r *watchRig) want(want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.flows()); diff != "" {
		r.t.Errorf("flows (-want +got):\n%s", diff)
	}
}

// said tells how often the log says something.
func (r *watchRig) said(what string) int { return strings.Count(r.log.String(), what) }

// TestWatchedFlows: what is there at the start is taken at once, and what comes or
// changes when it has settled, whatever it is called.
func TestWatchedFlows(t *testing.T) {
	t.Parallel()
	r := newWatchRig(t)
	r.write("deploy.lua", "return 1")
	r.write("team/Grüße an alle.lua", "return 'team'")
	r.write(".hidden.lua", "return 0")
	r.write(".git/hook.lua", "return 0")
	r.write("notes.txt", "none")
	r.write("deploy.lua~", "return 0")
	r.first()
	r.want("deploy@1 return 1", "team/Grüße an alle@1 return 'team'")
	r.look()
	r.write("deploy.lua", "return 2")
	r.write("new.lua", "return 'new'")
	r.look() // sees it
	r.want("deploy@1 return 1", "team/Grüße an alle@1 return 'team'")
	r.look()
	r.want("deploy@2 return 2", "new@1 return 'new'", "team/Grüße an alle@1 return 'team'")
	found, err := r.store.Flows().List(t.Context(), localOwner)
	if err != nil || found[0].Origin != filepath.Join(r.dir, "deploy.lua") {
		t.Errorf("%+v, %v", found, err)
	}
	r.write("deploy.lua", "return 2") // the same again
	r.look()
	r.look()
	r.want("deploy@2 return 2", "new@1 return 'new'", "team/Grüße an alle@1 return 'team'")
}

// TestWatchedFlowThatIsWritten: a file that changes from look to look is not read.
func TestWatchedFlowThatIsWritten(t *testing.T) {
	t.Parallel()
	r := newWatchRig(t)
	file, err := os.Create(filepath.Join(r.dir, "long.lua"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // a test's
	for range 5 {
		if _, err := file.WriteString("local x = 1\n"); err != nil {
			t.Fatal(err)
		}
		r.look()
		r.want()
	}
	r.look()
	r.want("long@1 " + strings.Repeat("local x = 1\n", 5))
}

// TestWatchedFlowWithMistake: it is told of once, with its place, and the version
// before goes on.
func TestWatchedFlowWithMistake(t *testing.T) {
	t.Parallel()
	r := newWatchRig(t)
	r.write("deploy.lua", "return 1")
	r.first()
	r.write("deploy.lua", "return 1\nreturn return")
	r.write("a@b.lua", "return 1")
	for range 4 {
		r.look()
	}
	r.want("deploy@1 return 1")
	for _, want := range []string{"deploy.lua:2: ", `\"a@b\" cannot be the name of a flow`, "hint="} {
		if n := r.said(want); n != 1 {
			t.Errorf("%q is said %d times: %s", want, n, r.log.String())
		}
	}
	r.write("deploy.lua", "return 2")
	r.look()
	r.look()
	r.want("deploy@2 return 2")
}

// TestWatchedFlowsOverRestarts: what changed while nobody watched is taken; what did
// not, is not, also if somebody applied another text meanwhile.
func TestWatchedFlowsOverRestarts(t *testing.T) {
	t.Parallel()
	r := newWatchRig(t)
	r.write("a.lua", "return 1")
	r.write("b.lua", "return 1")
	r.first()
	if _, _, err := r.store.Flows().Apply(t.Context(), localOwner, "a", []byte("return 'by hand'")); err != nil {
		t.Fatal(err)
	}
	r.write("b.lua", "return 2")
	r.restart()
	r.first()
	r.look()
	r.want("a@2 return 'by hand'", "b@2 return 2")
	r.write("a.lua", "return 3")
	r.look()
	r.look()
	r.want("a@3 return 3", "b@2 return 2")
}

// TestWatchedFlowsThatGo: flows stay, also if the whole directory is gone for a while.
func TestWatchedFlowsThatGo(t *testing.T) {
	t.Parallel()
	r := newWatchRig(t)
	r.write("a.lua", "return 1")
	r.write("team/b.lua", "return 1")
	r.first()
	if err := os.Remove(filepath.Join(r.dir, "a.lua")); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		r.look()
	}
	r.want("a@1 return 1", "team/b@1 return 1")
	if n := r.said("the file of a flow is gone"); n != 1 {
		t.Errorf("it is said %d times", n)
	}
	if err := os.Rename(r.dir, r.dir+"-away"); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		r.look()
	}
	if gone, unread := r.said("the file of a flow is gone"), r.said("cannot read"); gone != 1 || unread != 1 {
		t.Errorf("gone is said %d times, unread %d times: %s", gone, unread, r.log.String())
	}
	if err := os.Rename(r.dir+"-away", r.dir); err != nil {
		t.Fatal(err)
	}
	r.write("a.lua", "return 1")
	r.write("team/b.lua", "return 2")
	r.look()
	r.look()
	r.want("a@1 return 1", "team/b@2 return 2")
}

// TestWatchedLinks: links lead to files in the directory, as those of mounted
// configuration do, and nowhere else.
func TestWatchedLinks(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		return // links need rights there
	}
	r := newWatchRig(t)
	secret := filepath.Join(t.TempDir(), "secret")
	for _, err := range []error{
		os.WriteFile(secret, []byte("canary"), 0o600),
		os.MkdirAll(filepath.Join(r.dir, "..one"), 0o700),
		os.MkdirAll(filepath.Join(r.dir, "..two"), 0o700),
		os.WriteFile(filepath.Join(r.dir, "..one", "a.lua"), []byte("return 1"), 0o600),
		os.WriteFile(filepath.Join(r.dir, "..two", "a.lua"), []byte("return 2"), 0o600),
		os.Symlink("..one", filepath.Join(r.dir, "..data")),
		os.Symlink("..data/a.lua", filepath.Join(r.dir, "a.lua")),
		os.Symlink(secret, filepath.Join(r.dir, "out.lua")),
		os.Symlink("nowhere", filepath.Join(r.dir, "dangling.lua")),
		os.Symlink(".", filepath.Join(r.dir, "loop")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r.first()
	r.want("a@1 return 1")
	for _, err := range []error{
		os.Symlink("..two", filepath.Join(r.dir, "..data_tmp")),
		os.Rename(filepath.Join(r.dir, "..data_tmp"), filepath.Join(r.dir, "..data")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r.look()
	r.look()
	r.want("a@2 return 2")
	if strings.Contains(r.log.String(), "canary") || r.said("out.lua") != 1 || r.said("dangling.lua") != 1 {
		t.Errorf("the log says %s", r.log.String())
	}
}

// TestWatchedDirectories: the first of two files of a name counts.
func TestWatchedDirectories(t *testing.T) {
	t.Parallel()
	second := t.TempDir()
	r := newWatchRig(t, second)
	for name, text := range map[string]string{"a.lua": "return 'second'", "b.lua": "return 'b'"} {
		if err := os.WriteFile(filepath.Join(second, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.write("a.lua", "return 'first'")
	r.first()
	r.look()
	r.want("a@1 return 'first'", "b@1 return 'b'")
	if n := r.said("the flow of another file has the same name"); n != 1 {
		t.Errorf("it is said %d times", n)
	}
	if err := os.Remove(filepath.Join(r.dir, "a.lua")); err != nil {
		t.Fatal(err)
	}
	r.look()
	r.look()
	r.want("a@2 return 'second'", "b@1 return 'b'")
	r.write("a.lua", "return 'first'") // as it was before
	r.look()
	r.look()
	r.want("a@3 return 'first'", "b@1 return 'b'")
	for _, names := range [][2]string{{r.dir, r.dir + "-away"}, {r.dir + "-away", r.dir}} {
		if err := os.Rename(names[0], names[1]); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r.look()
		}
		r.want("a@3 return 'first'", "b@1 return 'b'")
	}
	if err := os.Remove(filepath.Join(r.dir, "a.lua")); err != nil {
		t.Fatal(err)
	}
	r.look()
	r.want("a@4 return 'second'", "b@1 return 'b'")
}

// TestManyWatchedFlows: a thousand at once, of which one has a mistake.
func TestManyWatchedFlows(t *testing.T) {
	t.Parallel()
	r := newWatchRig(t)
	for i := range 1000 {
		r.write(fmt.Sprintf("team%d/flow%d.lua", i%10, i), fmt.Sprintf("return %d", i))
	}
	r.write("bad.lua", "return return")
	r.first()
	if got := len(r.flows()); got != 1000 {
		t.Errorf("%d flows", got)
	}
	if r.said("a flow is taken") > 0 || r.said("flows are taken") == 0 || r.said("bad.lua:1: ") != 1 {
		t.Errorf("the log says %s", r.log.String())
	}
}

// BenchmarkWatchedFlows looks at a thousand files: at a start, at which they are read,
// and when nothing has changed.
func BenchmarkWatchedFlows(b *testing.B) {
	r := newWatchRig(b)
	for i := range 1000 {
		r.write(fmt.Sprintf("team%d/flow%d.lua", i%10, i), fmt.Sprintf("-- %s\nreturn %d", strings.Repeat("x", 2000), i))
	}
	began := time.Now()
	r.first()
	taken := time.Since(began)
	b.Run("start", func(b *testing.B) {
		for b.Loop() {
			r.restart()
			r.first()
		}
		b.ReportMetric(float64(taken.Milliseconds()), "ms/first-ever")
	})
	b.Run("look", func(b *testing.B) {
		for b.Loop() {
			r.look()
		}
	})
}

// TestWatchedFlowsAreOfTheFirstUser: others see nothing of them, and have their own of
// the same name.
func TestWatchedFlowsAreOfTheFirstUser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "deploy.lua"), []byte(`return "of the directory"`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newAPISite(t, "--flows", dir)
	admin, mallory := s.client(s.token), s.client(s.other)
	if found, err := mallory.ListFlows(t.Context()); err != nil || len(found.Flows) > 0 {
		t.Errorf("mallory has %+v, %v", found, err)
	}
	for _, start := range []api.Start{{Flow: "deploy"}, {Text: `return flow("deploy").output`}} {
		if e, err := mallory.Start(t.Context(), start); err == nil && start.Flow != "" {
			t.Errorf("mallory starts %+v: %+v", start, e)
		}
		if e := s.run(admin, start); e.Status != string(engine.Succeeded) {
			t.Errorf("%+v of admin is %s", start, e.Status)
		}
	}
	if e := s.run(mallory, api.Start{Text: `return flow("deploy").output`}); e.ErrorKind != string(engine.NotFound) {
		t.Errorf("a flow of mallory's is %s, %s", e.Status, e.ErrorKind)
	}
	if _, err := mallory.ApplyFlows(t.Context(), []api.FlowText{{Name: "deploy", Text: "return 'mine'"}}); err != nil {
		t.Fatal(err)
	}
	if found, err := admin.Flow(t.Context(), "deploy", 0); err != nil || found.Version != 1 || found.Text != `return "of the directory"` {
		t.Errorf("admin has %+v, %v", found, err)
	}
}
