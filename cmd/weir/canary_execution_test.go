package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// canaryEngine is "weir serve", watched like all else.
type canaryEngine struct {
	site *canarySite
	cmd  *exec.Cmd
	log  bytes.Buffer
}

// serve starts an engine on the site's store.
func (s *canarySite) serve(args ...string) *canaryEngine {
	s.t.Helper()
	e := &canaryEngine{site: s, cmd: exec.CommandContext(s.t.Context(), s.weir, append([]string{"serve"}, args...)...)}
	e.cmd.Env, e.cmd.Dir = s.env, filepath.Join(s.dir, "work")
	e.cmd.Stdout, e.cmd.Stderr = &e.log, &e.log
	if err := e.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return e
}

// end ends the engine with a signal, and searches what it said and left behind.
func (e *canaryEngine) end(signal os.Signal) {
	e.site.t.Helper()
	if err := e.cmd.Process.Signal(signal); err != nil {
		e.site.t.Fatal(err)
	}
	_ = e.cmd.Wait()
	e.site.search("the engine's log", e.log.Bytes())
	e.site.searchFiles("after the engine ended with " + signal.String())
}

// until runs weir again and again until it prints what is wanted.
func (s *canarySite) until(wanted string, args ...string) {
	s.t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	out := ""
	for start := time.Now(); time.Since(start) < time.Minute; <-again.C {
		if out = s.look("", args...); regexp.MustCompile("(?m)" + wanted).MatchString(out) {
			return
		}
	}
	s.t.Fatalf("weir %s never printed %q:\n%s", strings.Join(args, " "), wanted, out)
}

// ids gives the ids of all executions.
func (s *canarySite) ids() []string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), s.weir, "execution", "list", "-o", "json", "--children")
	cmd.Env = s.env
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatal(err)
	}
	var rows []struct{ ID string }
	if err := json.Unmarshal(out, &rows); err != nil {
		s.t.Fatal(err)
	}
	var ids []string
	for _, r := range rows {
		ids = append(ids, r.ID)
	}
	return ids
}

// show shows an execution in every way that there is.
func (s *canarySite) show(id string) {
	for _, args := range []string{"show", "show -o json", "show -o yaml", "logs", "logs -o json", "logs -o yaml", "answer"} {
		s.look("", append(append([]string{"execution"}, strings.Fields(args)...), id)...)
	}
}

// recordedFlow has a secret in its journal, and tells it everywhere after a wait in
// which the engine is killed.
const recordedFlow = `
local leaked = connect("oracle", { leak = "output", password = input.password }).output.leaked
log.info("before " .. leaked)
local child = flow("gate", { leaked = leaked })
log.info("after " .. leaked, { field = leaked, [leaked] = true })
log.warn(base64.encode("user:" .. leaked))
flow("tiny", { leaked = leaked }, { name = "tiny " .. leaked })
local named = pcall(function() setting(leaked):set(1) end)
setting("kept"):set(leaked)
output{ leaked = leaked, named = named, encoded = base64.encode("x" .. leaked), child = child.output }
if input.fail then error({ message = leaked, [leaked] = leaked }) end
return { list = { leaked } }
`

const gateFlow = `
connect("gate", { payload = input.leaked })
log.info("through the gate with " .. input.leaked)
connect("gate", { counter = "../" .. input.leaked }, { on_error = "return" })
return input.leaked
`

// TestCanaryInExecutions looks for secrets in all that an engine keeps and shows:
// journal, store, write-ahead log, backup, logs, the time line; also after it was
// killed, when it knows the secrets of before by their traces alone.
func TestCanaryInExecutions(t *testing.T) {
	t.Parallel()
	canary := newCanarySite(t)
	secrets := filepath.Join(t.TempDir(), "secrets.yaml")
	text, _ := json.Marshal(map[string]any{"secret/oracle": map[string]any{
		"password": canaries["in Vault"], "payload": canaries["a key in Vault"], "user": "scott",
	}})
	if err := os.WriteFile(secrets, text, 0o600); err != nil {
		t.Fatal(err)
	}
	canary.write("conn/oracle.yaml", "name: oracle\ntype: FAKE\nvalue: {host: db}\nsecrets: [{path: secret/oracle}]\n")
	canary.write("conn/gate.yaml", "name: gate\ntype: FAKE\nvalue: {block: true}\n")
	flow, recorded := canary.write("work/leaky.lua", leakyFlow), canary.write("work/recorded.lua", recordedFlow)
	canary.write("work/gate.lua", gateFlow)
	canary.write("work/tiny.lua", "return 1")
	typed, _ := json.Marshal(map[string]any{"password": canaries["in a flow's inputs"], "fail": true})

	first := canary.serve("--secrets", secrets)
	for _, leak := range []string{"error", "warning", "progress", "output", "panic"} {
		inputs, _ := json.Marshal(map[string]any{"leak": leak, "password": canaries["in a flow's inputs"]})
		canary.run(string(inputs), "execution", "start", flow, "--input-file", "-", "--wait")
		out := canary.run("", "execution", "start", flow, "-i", "leak="+leak, "-f")
		if !strings.Contains(out, "***") && leak != "panic" && leak != "progress" {
			t.Errorf("%s leaked nothing to be masked:\n%s", leak, out)
		}
	}
	for _, fail := range []string{"text", "table", "child", "flow", "input"} {
		canary.run("", "execution", "start", flow, "-i", "leak=output", "-i", "fail="+fail, "-f")
	}
	canary.run("", "execution", "start", recorded)
	canary.run(string(typed), "execution", "start", recorded, "--input-file", "-", "-o", "json")
	// An input is known to be secret when a task has taken it as such.
	canary.until(`(?s)gate +running.*gate +running`, "execution", "list", "--children")
	for _, id := range canary.ids() {
		canary.show(id)
		if strings.HasSuffix(id, ".2") {
			canary.until(`^1 +connect gate .*running`, "execution", "show", id)
		}
	}
	canary.searchFiles("before the engine is killed")
	first.end(os.Kill)

	// The next engine cannot read the secrets any more.
	canary.write("conn/gate.yaml", "name: gate\ntype: FAKE\n")
	second := canary.serve()
	ids := canary.ids()
	for _, id := range ids {
		if out := canary.look("", "execution", "logs", "-f", id); strings.Contains(out, "after") && !strings.Contains(out, "after ***") {
			t.Errorf("the log of %s is not masked:\n%s", id, out)
		}
		canary.show(id)
	}
	canary.run("", "execution", "retry", ids[len(ids)-1], "--wait")
	if out := canary.run("", "execution", "list", "--children"); strings.Count(out, "tiny ***") != 2 {
		t.Errorf("the names of child flows are not as expected:\n%s", out)
	}
	if out := canary.run("", "execution", "list"); strings.Count(out, "recorded  succeeded") != 1 || strings.Count(out, "recorded  failed (script)") != 1 {
		t.Errorf("the flows did not go on as expected:\n%s", out)
	}
	canary.run("", "store", "backup", "copy.db")
	canary.run("", "store", "check", "-o", "json")
	second.end(os.Interrupt)
	canary.run("", "execution", "prune", "--older-than", "0s")
	if canary.runs < 100 {
		t.Errorf("only %d runs were watched", canary.runs)
	}
}
