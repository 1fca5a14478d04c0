package vaultint_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/testdata/servers"
	"github.com/weir-engine/weir/vaultint"
)

// stagesOf runs a test and gives what each stage said, by the stage's name, and the
// names in order.
func stagesOf(t *testing.T, config vaultint.Config, path string) (map[string]vaultint.Stage, []string, error) {
	t.Helper()
	said, names := map[string]vaultint.Stage{}, []string(nil)
	err := newClient(t, config).Test(t.Context(), path, func(s vaultint.Stage) {
		said[s.Name] = s
		names = append(names, s.Name)
	})
	return said, names, err
}

func TestTestPasses(t *testing.T) {
	t.Parallel()
	server := servers.NewVault(t, servers.VaultConfig{TLS: true})
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": canary, "password": canary})
	policy := server.Policy(t, mayRead(mount+"/data/*"))
	config := withRole(server, server.AppRole(t, map[string]any{"token_ttl": "30m"}, policy))
	config.Address = strings.Replace(config.Address, "127.0.0.1", "localhost", 1)
	said, names, err := stagesOf(t, config, mount+"/oracle")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"dns", "tcp", "tls", "login", "read"}, names); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	for name, want := range map[string][]string{
		"dns":   {"localhost is ", "127.0.0.1"},
		"tcp":   {"connected to 127.0.0.1:"},
		"tls":   {"certificate of CN=vault.test, until 20"},
		"login": {"policies default, " + policy, "remaining life of the token: "},
		"read":  {"version 1 of 20", "2 keys: password, user"},
	} {
		for _, part := range want {
			if !strings.Contains(said[name].Detail, part) {
				t.Errorf("%s: got %q, want %q in it", name, said[name].Detail, part)
			}
		}
		if strings.Contains(said[name].Detail, canary) || said[name].Took <= 0 {
			t.Errorf("%s: got %+v", name, said[name])
		}
	}

	_, names, err = stagesOf(t, config, "")
	if want := []string{"dns", "tcp", "tls", "login"}; err != nil || !cmp.Equal(want, names) {
		t.Errorf("got the stages %v and %v, want no read without a path", names, err)
	}
}

func TestTestFails(t *testing.T) {
	t.Parallel()
	server := servers.NewVault(t, servers.VaultConfig{TLS: true})
	mount := server.MountKV(t, 2)
	sealed := servers.NewVault(t, servers.VaultConfig{})
	sealed.Seal(t)
	good := withToken(server, server.Token(t, servers.TokenConfig{}))
	tests := map[string]struct {
		change func(*vaultint.Config)
		stage  string
		reason secret.Reason
		part   string
	}{
		"host":      {func(c *vaultint.Config) { c.Address = "https://vault.invalid" }, "dns", secret.Unreachable, "cannot be resolved"},
		"port":      {func(c *vaultint.Config) { c.Address = "https://127.0.0.1:1" }, "tcp", secret.Unreachable, "connection refused"},
		"authority": {func(c *vaultint.Config) { c.CACert = "" }, "tls", secret.Unreachable, "unknown authority"},
		"name":      {func(c *vaultint.Config) { c.TLSServerName = "a.test" }, "tls", secret.Unreachable, "is not for"},
		"plain": {func(c *vaultint.Config) { c.Address = strings.Replace(sealed.Address, "http", "https", 1) },
			"tls", secret.Unreachable, "does not speak TLS"},
		"sealed": {func(c *vaultint.Config) { c.Address = sealed.Address }, "login", secret.Sealed, "unseal"},
		"token": {func(c *vaultint.Config) { c.Auth.Token = secret.New("hvs." + canary) },
			"login", secret.LoginFailed, "does not accept"},
		"policy": {func(*vaultint.Config) {}, "read", secret.Denied, mayRead(mount + "/data/oracle")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := good
			test.change(&config)
			said, names, err := stagesOf(t, config, mount+"/oracle")
			if got := names[len(names)-1]; got != test.stage {
				t.Fatalf("ended at %s with %v, want %s", got, err, test.stage)
			}
			wantFailure(t, err, test.reason, test.part, server.RootToken)
			var failed *vaultint.TestError
			if !errors.As(err, &failed) || failed.Stage != test.stage || !errors.Is(said[test.stage].Err, failed.Err) {
				t.Errorf("got %v, want the error of the stage %s", err, test.stage)
			}
			if want := `test vault "default": ` + test.stage + ": " + string(test.reason) + ": "; !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got %q, want it to start with %q", err, want)
			}
		})
	}
}

func TestTestSaysWhatIsInTheClear(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	said, _, err := stagesOf(t, withToken(server, server.RootToken), "")
	if err != nil {
		t.Fatal(err)
	}
	if got := said["tls"].Detail; !strings.Contains(got, "in the clear") {
		t.Errorf("got %q, want a warning", got)
	}
	if got := said["login"].Detail; got != "policies root; remaining life of the token: no end" {
		t.Errorf("got %q", got)
	}
}

func TestTestTimesOut(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	config := withToken(server, server.RootToken)
	config.Timeout = 100 * time.Millisecond
	config.Address = front(t, server, func(_ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		return true
	})
	_, names, err := stagesOf(t, config, "")
	wantFailure(t, err, secret.TimedOut, "within 100ms", server.RootToken)
	if got := names[len(names)-1]; got != "tls" {
		t.Errorf("ended at %s, want tls", got)
	}
}
