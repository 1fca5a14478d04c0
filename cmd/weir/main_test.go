package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/weir-engine/weir/testdata/servers"
)

// TestMain lets the scripts run this test binary as weir, with the real main, and
// TestSoak as a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(cleaned{m}, map[string]func(){"weir": main, "weir-soak": soaked, "weir-cramped": cramped, "weir-on-a-clock": onAClock})
}

// TestScripts runs testdata/script/*.txtar. Each one has its own home, data
// directory and working directory, and no environment of the one who tests.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, params("testdata/script"))
}

// TestVaultScripts runs testdata/vault/*.txtar against a real Vault. $MOUNT is of
// KV version 2; oracle has three versions there, of which the first was deleted and
// the second destroyed.
func TestVaultScripts(t *testing.T) {
	t.Parallel()
	vault := servers.Vault(t)
	mount := vault.MountKV(t, 2)
	for range 3 {
		vault.PutKV(t, mount, "oracle", map[string]any{
			"user": "scott", "password": "tiger-from-vault", "port": 1521, "note": "surplus",
		})
	}
	vault.PutMetadata(t, mount, "oracle", map[string]string{"owner": "dba team", "ticket": "about tiger-from-vault"})
	vault.DeleteKV(t, mount, "oracle", 1)
	vault.DestroyKV(t, mount, "oracle", 2)
	vault.PutKV(t, mount, "closed", map[string]any{"password": "not-for-you"})
	policy := vault.Policy(t, fmt.Sprintf(
		"path %q { capabilities = [\"read\"] }\npath %q { capabilities = [\"deny\"] }", mount+"/data/*", mount+"/data/closed"))
	role := vault.AppRole(t, nil, policy)
	token := vault.Token(t, servers.TokenConfig{Policies: []string{policy}, Bare: true})

	p := params("testdata/vault")
	setup := p.Setup
	p.Setup = func(e *testscript.Env) error {
		e.Setenv("ADDRESS", vault.Address)
		e.Setenv("MOUNT", mount)
		e.Setenv("ROLE_ID", role.RoleID)
		e.Setenv("AUTH_MOUNT", role.Mount)
		return errors.Join(setup(e),
			os.WriteFile(e.WorkDir+"/token", []byte(token+"\n"), 0o600),
			os.WriteFile(e.WorkDir+"/secret-id", []byte(role.SecretID), 0o600))
	}
	testscript.Run(t, p)
}

func params(dir string) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"keep":  keep,
			"until": until,
		},
		Condition: func(condition string) (bool, error) {
			if condition != "root" {
				return false, fmt.Errorf("unknown condition %q", condition)
			}
			return os.Geteuid() == 0, nil // root writes where it must not
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir+"/.home")
			e.Setenv("GORACE", "atexit_sleep_ms=0") // else each command takes a second more under -race
			e.Setenv("WEIR_DATA_DIR", e.WorkDir+"/.data")
			e.Setenv("WEIR_LISTEN", "127.0.0.1:0")
			return nil
		},
	}
}

// exits runs a command that must end with an exit code: exits CODE weir ARGS...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if want, err := strconv.Atoi(args[0]); err != nil || code != want {
		ts.Fatalf("%s: got exit code %d, want %s", strings.Join(args[1:], " "), code, args[0])
	}
}

// keep puts what the last command wrote to stdout into a variable: keep NAME
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: keep NAME")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// until runs a command again and again until its stdout has what a regular
// expression says: until REGEXP PROGRAM [ARG...]
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until REGEXP PROGRAM [ARG...]")
	}
	wanted := regexp.MustCompile("(?m)" + args[0])
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for start := time.Now(); time.Since(start) < time.Minute; <-again.C {
		ts.Check(ts.Exec(args[1], args[2:]...))
		if wanted.MatchString(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("%s: stdout never had %q", strings.Join(args[1:], " "), args[0])
}
