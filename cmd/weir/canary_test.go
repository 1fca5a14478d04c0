package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-engine/weir/testdata/servers"
)

// The canaries are secrets that stand nowhere else. They hold what encodings
// change: quotes, slashes, plus signs, spaces, letters outside of ASCII, lines.
var canaries = map[string]string{
	"in Vault":           `vAult/can+ary "7f3a" <&>é`,
	"a key in Vault":     "-----BEGIN CANARY KEY-----\nbGluZSBvbmUgb2YgdGhlIGNhbmFyeQ\nbGluZSB0d28gb2YgdGhlIGNhbmFyeQ\n-----END CANARY KEY-----\n",
	"in the store":       `st0re/can+ary 'b91c' \ü`,
	"in a flow's inputs": `fl0w/can+ary=44d0&%20`,
	"a secret id":        "5ecret-1d-canary-18aa",
}

// spellings gives the ways in which a text might be written. It is on purpose no
// code that the redactor uses.
func spellings(text string) map[string]string {
	quoted, _ := json.Marshal(text)
	found := map[string]string{
		"plain":      text,
		"hex":        hex.EncodeToString([]byte(text)),
		"HEX":        strings.ToUpper(hex.EncodeToString([]byte(text))),
		"URL query":  url.QueryEscape(text),
		"URL path":   url.PathEscape(text),
		"JSON":       string(quoted[1 : len(quoted)-1]),
		"Go quoted":  strings.Trim(fmt.Sprintf("%q", text), `"`),
		"Go escaped": strings.Trim(fmt.Sprintf("%+q", text), `"`),
	}
	for shift := range 3 {
		padded := strings.Repeat("x", shift) + text
		// The first and last four characters may hold neighbouring bits.
		for name, encoding := range map[string]*base64.Encoding{"base64": base64.StdEncoding, "base64url": base64.URLEncoding} {
			encoded := encoding.EncodeToString([]byte(padded))
			found[fmt.Sprintf("%s+%d", name, shift)] = encoded[4 : len(encoded)-4]
		}
	}
	for i, line := range strings.Split(text, "\n") {
		if len(line) >= 6 {
			found[fmt.Sprintf("line %d", i)] = line
		}
	}
	return found
}

// canarySite is a user's machine in miniature, on which every run is watched.
type canarySite struct {
	t      *testing.T
	weir   string
	dir    string // everything that weir may write to: home, data, temporary files
	env    []string
	spells map[string]map[string]string
	runs   int
}

func newCanarySite(t *testing.T, env ...string) *canarySite {
	t.Helper()
	s := &canarySite{t: t, weir: weirBinary(t), dir: t.TempDir(), spells: map[string]map[string]string{}}
	for _, name := range []string{"home", "tmp", "work", "conn"} {
		if err := os.Mkdir(filepath.Join(s.dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir + "/home", "TMPDIR=" + s.dir + "/tmp",
		"WEIR_LISTEN=127.0.0.1:0", "WEIR_DATA_DIR=" + s.dir + "/data", "WEIR_CONNECTION_PATH=" + s.dir + "/conn",
	}, env...)
	for name, text := range canaries {
		s.spells[name] = spellings(text)
	}
	return s
}

// write makes a file of the user's.
func (s *canarySite) write(name, text string) string {
	s.t.Helper()
	file := filepath.Join(s.dir, filepath.FromSlash(name))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file
}

// run runs weir to its end and searches what it printed and what it left behind.
func (s *canarySite) run(stdin string, args ...string) string {
	s.t.Helper()
	out := s.look(stdin, args...)
	s.searchFiles("weir " + strings.Join(args, " "))
	return out
}

// look runs weir to its end and searches what it printed.
func (s *canarySite) look(stdin string, args ...string) string {
	s.t.Helper()
	s.runs++
	cmd := exec.CommandContext(s.t.Context(), s.weir, args...)
	cmd.Env, cmd.Dir, cmd.Stdin = s.env, filepath.Join(s.dir, "work"), strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	s.search("weir "+strings.Join(args, " ")+": output", out.Bytes())
	return fmt.Sprintf("%s\nended with: %v", out.String(), err)
}

func (s *canarySite) search(where string, text []byte) {
	s.t.Helper()
	for name, forms := range s.spells {
		for form, spelled := range forms {
			if bytes.Contains(text, []byte(spelled)) {
				s.t.Errorf("LEAK: the canary %s, %s, is in %s", name, form, where)
			}
		}
	}
}

// searchFiles searches the store, its write-ahead log, temporary files, and all
// else that weir can write to.
func (s *canarySite) searchFiles(what string) {
	s.t.Helper()
	err := filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		s.search(what+": file "+strings.TrimPrefix(path, s.dir), text)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// leakyFlow runs a task that leaks in the way that the input says, and then shows
// in every way that a flow has what the task gave it.
const leakyFlow = `
local overrides = { leak = input.leak, password = input.password }
local x = connect(input.connection or "oracle", overrides, { on_error = input.on_error })
local leaked = x.output and x.output.leaked
if leaked then
  log.info("leaked " .. leaked, { field = leaked, [leaked] = true, nested = { leaked } })
  progress(1, 2, leaked)
  log.warn(base64.encode("user:" .. leaked))
  log.warn(base64.encode(leaked))
  log.warn(json.encode({ leaked }))
  output{ leaked = leaked, encoded = base64.encode("x" .. leaked), json = json.encode{ leaked } }
  if input.fail == "text" then error("failed with " .. leaked) end
  if input.fail == "table" then error({ message = leaked, [leaked] = leaked }) end
  if input.fail == "child" then connect("oracle", { counter = "../" .. leaked }) end
  if input.fail == "name" then connect(leaked) end
  if input.fail == "flow" then flow(leaked) end
  if input.fail == "input" then connect("oracle", { port = leaked, [leaked] = leaked }) end
  if input.fail == "ref" then connect("repo", { ref = leaked }) end
end
return { x = x.output, error = x.error and tostring(x.error) }
`

func TestCanary(t *testing.T) {
	t.Parallel()
	vault := servers.Vault(t)
	mount := vault.MountKV(t, 2)
	vault.PutKV(t, mount, "oracle", map[string]any{
		"password": canaries["in Vault"], "payload": canaries["a key in Vault"], "user": "scott", "surplus": canaries["in Vault"],
	})
	for range 3 {
		vault.PutKV(t, mount, "versions", map[string]any{"password": canaries["in Vault"]})
	}
	vault.DeleteKV(t, mount, "versions", 1)
	vault.DestroyKV(t, mount, "versions", 2)
	vault.PutMetadata(t, mount, "oracle", map[string]string{"careless": "it is " + canaries["in Vault"]})
	var policies []string
	for _, name := range []string{"oracle", "versions", "nothing"} {
		policies = append(policies, vault.Policy(t, fmt.Sprintf("path %q { capabilities = [\"read\"] }", mount+"/data/"+name)))
	}
	token := vault.Token(t, servers.TokenConfig{Policies: policies})
	canary := newCanarySite(t, "VAULT_ADDR="+vault.Address, "VAULT_TOKEN="+token, "WEIR_VAULT_FILE="+writeFailingVaults(t, vault.Address, token))
	canary.spells["the Vault token"] = spellings(token)
	canary.write("conn/oracle.yaml", canaryConnections(mount, servers.S3(t).Endpoint)+failingConnections())
	flow := canary.write("work/leaky.lua", leakyFlow)
	checkStore(canary, vault)
	checkRuns(canary, flow)
	checkCommands(canary)
	canary.search("Vault's audit log", []byte(vault.AuditLog(t)))
	canary.search("Vault's server log", []byte(vault.Log()))
	if canary.runs < 50 {
		t.Errorf("only %d runs were watched", canary.runs)
	}
}

// canaryConnections are connections of all task types, most of which fail.
func canaryConnections(mount, bucket string) string {
	return `
name: oracle
type: FAKE
value: {host: db.example.com, password: vault.secret(password), payload: "key vault.secret(payload)"}
secrets: [{path: ` + mount + `/data/oracle}]
---
name: repo
type: GIT
value: {repository_url: .}
---
name: broken
type: FAKE
value: {password: vault.secret(passwort), port: vault.secret(password)}
secrets: [{path: ` + mount + `/oracle}]
---
name: wrong
type: FAKE
value: {port: vault.secret(password), fail_kind: vault.secret(password), block: vault.secret(payload)}
secrets: [{path: ` + mount + `/oracle}]
---
name: remote
type: GIT
value: {repository_url: "http://127.0.0.1:1/x.git", username: scott, password: vault.secret(password)}
secrets: [{path: ` + mount + `/oracle, keys: [password]}]
---
name: ssh
type: GIT
value: {repository_url: "ssh://git@127.0.0.1:1/x.git", ssh_key: vault.secret(payload), known_hosts: "x ssh-ed25519 AAAA"}
secrets: [{path: ` + mount + `/oracle, keys: [payload]}]
---
name: bucket
type: S3
value: {endpoint: "` + bucket + `", access_key_id: AKIDWRONG, secret_access_key: vault.secret(password), command: list_buckets}
secrets: [{path: ` + mount + `/oracle, keys: [password]}]
---
name: database
type: SQLORACLE
value: {host: 127.0.0.1, port: 1, service_name: xe, user: scott, password: vault.secret(password), fetch: select 1 from dual}
secrets: [{path: ` + mount + `/oracle, keys: [password]}]
---
name: denied
type: FAKE
secrets: [{path: ` + mount + `/other}]
---
name: nothing
type: FAKE
secrets: [{path: ` + mount + `/nothing}]
---
name: deleted
type: FAKE
secrets: [{path: ` + mount + `/versions, version: 1}]
---
name: destroyed
type: FAKE
secrets: [{path: ` + mount + `/versions, version: 2}]
`
}

// failingVaults are Vaults that give nothing, and credentials for them that are
// canaries.
var failingVaults = []string{"sealed", "stalled", "nobody", "refused"}

// writeFailingVaults writes a file of their configurations where no canary is looked
// for, and gives its name.
func writeFailingVaults(t *testing.T, address, token string) string {
	t.Helper()
	sealed, stalled := newVaultsThatFail(t)
	role, _ := json.Marshal(map[string]string{"auth": "approle", "role_id": "r", "secret_id": canaries["a secret id"]})
	user, _ := json.Marshal(map[string]string{"auth": "userpass", "username": "u", "password": canaries["in the store"]})
	given, _ := json.Marshal(map[string]string{"auth": "token", "token": token})
	var text strings.Builder
	for i, at := range []struct {
		address, timeout string
		auth             []byte
	}{{sealed, "10s", role}, {stalled, "100ms", user}, {"http://" + unusedAddress(t), "10s", given}, {address, "10s", role}} {
		fmt.Fprintf(&text, "---\n{name: %s, address: %q, timeout: %s, %s\n", failingVaults[i], at.address, at.timeout, at.auth[1:])
	}
	file := filepath.Join(t.TempDir(), "vaults.yaml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// failingConnections gives a connection for each of them, of its name.
func failingConnections() string {
	var text strings.Builder
	for _, name := range failingVaults {
		fmt.Fprintf(&text, "---\nname: %[1]s\ntype: FAKE\nsecrets: [{path: secret/data/x, vault: %[1]s}]\n", name)
	}
	return text.String()
}

// checkRuns runs flows that leak in every place that there is.
func checkRuns(s *canarySite, flow string) {
	for _, leak := range []string{"error", "warning", "progress", "output", "panic"} {
		for _, connection := range []string{"oracle", "stored"} {
			out := s.run("", "run", flow, "-i", "leak="+leak, "-i", "connection="+connection)
			if !strings.Contains(out, "***") && leak != "panic" && leak != "progress" { // which is shown after seconds
				s.t.Errorf("%s of %s leaked nothing to be masked:\n%s", leak, connection, out)
			}
			s.run("", "run", flow, "-o", "yaml", "-i", "leak="+leak, "-i", "connection="+connection, "-i", "on_error=return")
			inputs, _ := json.Marshal(map[string]any{"leak": leak, "connection": connection, "password": canaries["in a flow's inputs"]})
			s.run(string(inputs), "run", flow, "--input-file", "-")
		}
	}
	for _, fail := range []string{"text", "table", "child", "name", "flow", "input", "ref"} {
		out := s.run("", "run", flow, "-i", "leak=output", "-i", "fail="+fail)
		if !strings.Contains(out, "error: ") {
			s.t.Errorf("fail=%s did not fail:\n%s", fail, out)
		}
	}
	unread := slices.Concat([]string{"nothing", "deleted", "destroyed"}, failingVaults)
	for _, connection := range slices.Concat([]string{"broken", "wrong", "remote", "ssh", "bucket", "database", "denied", "missing"}, unread) {
		out := s.run("", "run", s.write("work/plain.lua", `connect(input.c)`), "-i", "c="+connection)
		if !strings.Contains(out, "error: ") {
			s.t.Errorf("connection %s did not fail:\n%s", connection, out)
		}
	}
	for _, connection := range unread {
		for _, args := range []string{"test", "explain", "explain -o json"} {
			out := s.run("", strings.Fields("connection "+args+" "+connection)...)
			if !strings.Contains(out, "error: ") {
				s.t.Errorf("%s of connection %s did not fail:\n%s", args, connection, out)
			}
		}
	}
	for _, name := range failingVaults {
		s.run("", "vault", "test", name)
	}
	s.run("", "run", s.write("work/handle.lua", `
		local h = secret("`+"nowhere/x"+`#password")
		log.info("handle " .. tostring(h))
		connect("oracle", { password = h })`))
}

// checkStore puts secrets into the store and takes it through its whole life.
func checkStore(s *canarySite, vault *servers.VaultServer) {
	value, _ := json.Marshal(map[string]any{"host": "db", "user": "scott", "password": canaries["in the store"]})
	for _, step := range []struct{ stdin, args string }{
		{string(value), "connection create stored --type FAKE --value-file -"},
		{string(value), "connection create stored --type FAKE --value-file -"},
		{string(value), "connection create stored --type FAKE --value-file - --if-not-exists"},
		{string(value), "connection create --type FAKES stored2 --value-file -"},
		{`{"pasword": ` + string(value) + `}`, "connection create stored3 --type FAKE --value-file -"},
		{"pass: [unclosed " + canaries["in the store"], "connection create stored4 --type FAKE --value-file -"},
		{"password: [" + `"` + canaries["a secret id"] + `"]`, "connection create stored5 --type FAKE --value-file -"},
		{"", "connection show stored"},
		{"", "connection show stored -o json"},
		{"", "connection list -v"},
		{"", "connection explain stored"},
		{"", "connection explain stored -o json --set port=3"},
		{"", "connection export"},
		{"", "connection export stored -o json"},
		{"", "connection revisions stored"},
		{"", "connection test stored"},
		{"", "connection attach-secret stored secret/data/x --version 2"},
		{"", "connection detach-secret stored secret/data/x"},
		{canaries["a secret id"] + "\n", "vault add team --address " + vault.Address + " --auth approle --role-id r --secret-id-file -"},
		{canaries["a secret id"] + "\n", "vault add team --address " + vault.Address + " --auth approle --role-id r --secret-id-file -"},
		{canaries["a secret id"] + "\n", "vault add odd --address http://" + "x y" + " --auth token --token-file -"},
		{"", "vault list -o json"},
		{"", "vault show team"},
		{"", "vault test team"},
		{"", "vault test"},
		{"", "store rotate-key"},
		{"", "store info"},
	} {
		s.run(step.stdin, strings.Fields(step.args)...)
	}
	if out := s.run("", "connection", "show", "stored"); !strings.Contains(out, "***") {
		s.t.Errorf("the connection was not stored: %s", out)
	}
}

// checkCommands looks at the commands that show connections.
func checkCommands(s *canarySite) {
	for _, name := range []string{"oracle", "broken", "wrong", "remote", "ssh", "denied", "missing", "fake.default"} {
		for _, args := range [][]string{
			{"explain", name}, {"explain", name, "-o", "json"}, {"explain", name, "-o", "yaml"},
			{"show", name}, {"test", name}, {"export", name},
		} {
			s.run("", append([]string{"connection"}, args...)...)
		}
	}
	s.run("", "connection", "delete", "stored", "--yes")
	s.run("", "connection", "list", "-o", "json")
}

// TestCanaryInRunningProcess looks at a process while it holds secrets: at its
// arguments, and at the files that it has open or made.
func TestCanaryInRunningProcess(t *testing.T) {
	t.Parallel()
	canary := newCanarySite(t)
	canary.write("conn/oracle.yaml", "name: oracle\ntype: FAKE\nvalue: {block: true}\nsecrets: [{path: secret/oracle}]\n")
	flow := canary.write("work/block.lua", `connect("oracle", { leak = "warning" })`)
	secrets := filepath.Join(t.TempDir(), "secrets.yaml")
	text, _ := json.Marshal(map[string]any{"secret/oracle": map[string]any{"password": canaries["in Vault"]}})
	if err := os.WriteFile(secrets, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), canary.weir, "run", flow, "--secrets", secrets)
	cmd.Env, cmd.Dir = canary.env, filepath.Join(canary.dir, "work")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()
	// The warning tells that the driver has its password.
	line := make([]byte, 256)
	n, err := stderr.Read(line)
	if err != nil || !strings.Contains(string(line[:n]), "***") {
		t.Fatalf("no warning: %q, %v", line[:n], err)
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	canary.search("cmdline", cmdline)
	canary.searchFiles("while it runs")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitCancelled {
		t.Errorf("exit code after an interrupt: %d, want %d", code, exitCancelled)
	}
	canary.searchFiles("after it was interrupted")
}
