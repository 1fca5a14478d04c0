package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/testdata/servers"
	"github.com/weir-engine/weir/testdata/servers/oracle"
)

const banner = "Oracle Database 19c (said by the protocol test server)"

// newExampleOracle starts the database of the examples: the protocol test server,
// which answers their statements from a script.
func newExampleOracle(t *testing.T, user, password string) *oracle.Server {
	t.Helper()
	return oracle.New(t, oracle.Config{
		Service: "xe", Accounts: map[string]oracle.Account{user: {Password: password}},
		Script: []oracle.Case{
			{Match: `^select \* from v\$version$`, Result: oracle.Result{
				Columns: []oracle.Column{{Name: "BANNER", Type: oracle.Varchar2, Size: 80}}, Rows: [][]any{{banner}}}},
			{Match: `from orders where ordered >= :since`, Result: oracle.Result{
				Columns: []oracle.Column{{Name: "ID", Type: oracle.Number}, {Name: "CUSTOMER", Type: oracle.Varchar2}, {Name: "AMOUNT", Type: oracle.Number}},
				Rows:    [][]any{{1, "Ada, Countess", "12.5"}, {2, "Bob", "12345678901234567890.12"}, {3, nil, 0}}}},
			{Match: `^insert into customers`, Result: oracle.Result{Affected: 2, RowErrs: map[int]oracle.Error{
				1: {Code: 1, Text: "unique constraint (CUSTOMERS_PK) violated"}}}},
			{Match: `from missing`, Result: oracle.Result{Err: &oracle.Error{Code: 942, Text: "table or view does not exist", Pos: 14}}},
		},
	})
}

// TestOracleRotation runs the example of the manual, a statement that is not to be
// repeated, and changes the password between two runs. The login with the old one is
// refused; nothing had been sent yet, so the secret is read afresh, and the statement
// is sent once.
func TestOracleRotation(t *testing.T) {
	t.Parallel()
	vault := servers.Vault(t)
	mount := vault.MountKV(t, 2)
	server := newExampleOracle(t, "MY-USER", "the-first-password")
	put := func(password string) {
		vault.PutKV(t, mount, "oracle", map[string]any{"user": "my-user", "password": password})
	}
	put("the-first-password")
	a, dir := newTestApp(t, map[string]string{"VAULT_ADDR": vault.Address, "VAULT_TOKEN": vault.RootToken}, map[string]string{
		"oracle.yaml": fmt.Sprintf("name: oracle\ntype: SQLORACLE\nvalue:\n  host: %s\n  service_name: xe\n  user: vault.secret(user)\n  password: vault.secret(password)\nsecrets: [{path: %s/data/oracle}]\n", server.Addr, mount),
	})
	ask := func() (versions []int, tries int, told string) {
		t.Helper()
		runner, err := a.runner(nil)
		if err != nil {
			t.Fatal(err)
		}
		finished, err := runner.Run(t.Context(), engine.Request{
			File: "flow.lua", Files: dir, Text: []byte(`return connect("oracle", {execute = "SELECT * FROM v$version"}).output.result[1].BANNER`),
			Watch: func(e engine.Event) {
				told += e.Message + "\n"
				if e.State != nil && e.State.Kind == engine.CallConnect && e.State.Status.Ended() {
					tries, versions = e.State.Tries, nil
					for _, use := range e.State.Uses.Secrets {
						versions = append(versions, use.Version)
					}
				}
			},
		})
		if err != nil || finished.Execution.Error != nil {
			t.Fatal(err, finished.Execution.Error)
		}
		if got := finished.Execution.Output; got != banner {
			t.Errorf("got %v", got)
		}
		return versions, tries, told
	}
	explain := func() string {
		t.Helper()
		var out bytes.Buffer
		p := a.process
		p.out = &out
		if code := execute(t.Context(), []string{"connection", "explain", "oracle", "--connections", dir}, p); code != 0 {
			t.Errorf("explain ended with %d", code)
		}
		return out.String()
	}
	for _, step := range []struct {
		rotate   string
		versions []int
		tries    int
	}{
		{"", []int{1}, 1}, {"the-second-password", []int{1, 2}, 2}, {"", []int{2}, 1},
	} {
		if step.rotate != "" {
			put(step.rotate)
			server.SetAccount("my-user", oracle.Account{Password: step.rotate})
			server.DropAll() // or the session from before would do
		}
		versions, tries, told := ask()
		explained := explain()
		if last := fmt.Sprintf("oracle@%d#password", step.versions[len(step.versions)-1]); !strings.Contains(explained, last) || !strings.Contains(explained, "my-user") || strings.Contains(explained, "-password") {
			t.Errorf("want %s and the user in there, and no password:\n%s", last, explained)
		}
		if diff := cmp.Diff(step.versions, versions); diff != "" || tries != step.tries {
			t.Errorf("%d tries, versions (-want +got):\n%s", tries, diff)
		}
		if strings.Contains(told, "-password") {
			t.Errorf("the log tells too much:\n%s", told)
		}
	}
	if got := server.Statements(); len(got) != 3 {
		t.Errorf("the server got %q", got)
	}
	checkGoodbye(t, a, server)
}

// checkGoodbye checks that what was kept for the next task ends with the program.
func checkGoodbye(t *testing.T, a *app, server *oracle.Server) {
	t.Helper()
	if err := a.close(); err != nil {
		t.Error(err)
	}
	for deadline := time.Now().Add(10 * time.Second); server.Count("logoff") < 1 && time.Now().Before(deadline); {
		<-time.After(time.Millisecond) // the server hears of it a little later
	}
	if got := server.Count("logoff"); got != 1 {
		t.Errorf("%d sessions said goodbye, want the one that was idle", got)
	}
}

// TestOracleSaysNothingOnItsOwn looks at the output of a real process whose client
// library prints the server's warning: it is the result and nothing else.
func TestOracleSaysNothingOnItsOwn(t *testing.T) {
	t.Parallel()
	server := oracle.New(t, oracle.Config{Accounts: map[string]oracle.Account{
		"SCOTT": {Password: "tiger", Warning: &oracle.Error{Code: 28002, Text: "the password will expire within 7 days"}}}})
	dir := t.TempDir()
	flow := filepath.Join(dir, "flow.lua")
	if err := os.WriteFile(filepath.Join(dir, "oracle.yaml"), []byte(fmt.Sprintf("name: o\ntype: SQLORACLE\nvalue: {host: %q, service_name: XEPDB1, user: scott, password: tiger}\n", server.Addr)), 0o600); err != nil {
		t.Fatal(err)
	}
	text := `return connect("o", { fetchval = "SELECT 1 FROM DUAL" }).output.result`
	if err := os.WriteFile(flow, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), weirBinary(t), "run", flow, "--connections", dir, "-o", "json") //nolint:gosec // built by this test
	cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	var out, told bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &told
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, told.String())
	}
	if got := strings.TrimSpace(out.String()); got != "1" {
		t.Errorf("got %q on the standard output", got)
	}
	if server.Count("login") == 0 {
		t.Error("nobody logged in")
	}
}

// TestOracleCanary searches everything for the password of a database that repeats
// it wherever it can: in rows, in errors, in the name of a column.
func TestOracleCanary(t *testing.T) {
	t.Parallel()
	vault := servers.Vault(t)
	mount := vault.MountKV(t, 2)
	password := canaries["in Vault"]
	server := oracle.New(t, oracle.Config{
		Accounts: map[string]oracle.Account{"SCOTT": {Password: password, Warning: &oracle.Error{Code: 28002, Text: "the password " + password + " will expire"}}},
		Script: []oracle.Case{
			{Match: `^select .* from good`, Result: oracle.Result{Columns: []oracle.Column{{Name: "P", Type: oracle.Varchar2}}, Rows: [][]any{{password}}}},
			{Match: `^select .* from bad`, Result: oracle.Result{Err: &oracle.Error{Code: 904, Text: `"` + password + `": invalid identifier`, Pos: 7}}},
			{Match: `^begin`, Result: oracle.Result{Err: &oracle.Error{Code: 20001, Text: password}, Markers: true}},
			{Match: `^insert`, Result: oracle.Result{RowErrs: map[int]oracle.Error{0: {Code: 12899, Text: "value too large: " + password}}}},
			{Match: `^update`, Result: oracle.Result{Drop: oracle.DropInside}},
		},
	})
	vault.PutKV(t, mount, "oracle", map[string]any{"user": "scott", "password": password})
	canary := newCanarySite(t, "VAULT_ADDR="+vault.Address, "VAULT_TOKEN="+vault.RootToken)
	canary.write("conn/oracle.yaml", fmt.Sprintf(`
name: oracle
type: SQLORACLE
value: {host: "%s", service_name: XEPDB1, user: vault.secret(user), password: vault.secret(password)}
secrets: [{path: %s/data/oracle}]
---
name: wrong
type: SQLORACLE
value: {host: "%s", service_name: XEPDB1, user: nobody, password: vault.secret(password), fetch: SELECT 1 FROM DUAL}
secrets: [{path: %s/data/oracle, keys: [password]}]
`, server.Addr, mount, server.Addr, mount))
	for i, inputs := range []string{
		`{ fetch = "SELECT p FROM good" }`, `{ fetchval = "SELECT p FROM good" }`, `{ fetch = "SELECT p FROM good", file_path = "../out.csv" }`,
		`{ fetch = "SELECT ` + "p" + ` FROM bad" }`, `{ call = "pay(:p)", params = { p = secret("` + mount + `/oracle#password") } }`,
		`{ batch = "INSERT INTO t VALUES (:1)", rows = { { "x" } } }`, `{ batch = "INSERT INTO t VALUES (:1)", rows = { { "x" } }, on_row_error = "keep" }`,
		`{ execute = "UPDATE t SET p = :1", params = { 1 } }`, `{ execute = "SELECT p FROM good", total_timeout = "1ms" }`,
	} {
		flow := canary.write(fmt.Sprintf("work/%d.lua", i), `
local x = connect("oracle", `+inputs+`, { on_error = "return" })
log.info("came of it", { output = x.output, error = x.error and tostring(x.error) })
return { output = x.output, error = x.error and tostring(x.error) }`)
		canary.run("", "run", flow)
	}
	canary.run("", "run", canary.write("work/wrong.lua", `return connect("wrong").output`))
	canary.run("", "connection", "test", "oracle")
	canary.run("", "connection", "test", "wrong")
	canary.run("", "connection", "explain", "oracle")
	if n := server.Count("execute"); n < 7 {
		t.Errorf("only %d statements reached the server", n)
	}
}
