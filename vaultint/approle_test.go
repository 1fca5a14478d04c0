package vaultint_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/testdata/servers"
	"github.com/weir-engine/weir/vaultint"
)

// secretIDFile is the configuration of a role whose secret id is in a file, and how to
// write that file.
func secretIDFile(t *testing.T, server *servers.VaultServer, role servers.AppRole, wrapped bool) (vaultint.Config, func(string)) {
	t.Helper()
	config := withRole(server, role)
	config.Auth.SecretID = secret.Value{}
	config.Auth.SecretIDFile = filepath.Join(t.TempDir(), "secret-id")
	config.Auth.SecretIDWrapped = wrapped
	return config, func(text string) {
		t.Helper()
		if err := os.WriteFile(config.Auth.SecretIDFile, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// endLogins has every login of a role end, so that a client must log in again.
func endLogins(t *testing.T, server *servers.VaultServer, role servers.AppRole) {
	t.Helper()
	server.Do(t, http.MethodPut, "sys/leases/revoke-prefix/auth/"+role.Mount+"/login", nil)
}

// A secret id in a file is read again at each login, so that one that is exchanged in
// time is never missed.
func TestSecretIDFile(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	role := server.AppRole(t, map[string]any{"secret_id_num_uses": 1}, server.Policy(t, mayRead(mount+"/data/*")))
	config, put := secretIDFile(t, server, role, false)
	client := newClient(t, config)
	ref := secret.Ref{Path: mount + "/oracle"}
	_, err := client.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.LoginFailed, "secret id file "+config.Auth.SecretIDFile+": no such file or directory")
	put(role.SecretID)
	read(t, client, ref)

	another := server.Do(t, http.MethodPost, "auth/"+role.Mount+"/role/"+role.Name+"/secret-id", nil)
	put(another["data"].(map[string]any)["secret_id"].(string))
	endLogins(t, server, role)
	read(t, client, ref)
	endLogins(t, server, role)
	_, err = client.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.LoginFailed, "used up", role.SecretID)
}

// A wrapping token is used once; the secret id behind it serves later logins, until
// there is another token in the file.
func TestWrappedSecretID(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	role := server.AppRole(t, map[string]any{"secret_id_num_uses": 2}, server.Policy(t, mayRead(mount+"/data/*")))
	config, put := secretIDFile(t, server, role, true)
	token := server.WrappedSecretID(t, role, time.Hour)
	put(token)
	ref := secret.Ref{Path: mount + "/oracle"}

	// A test leaves the token to whom it is for.
	said, names, err := stagesOf(t, config, mount+"/oracle")
	if made := "was made at auth/" + role.Mount + "/role/weir/secret-id and is good until 20"; err != nil || !strings.Contains(said["login"].Detail, made) {
		t.Errorf("got the stages %v, %+v and %v, want %q", names, said["login"], err, made)
	}
	client := newClient(t, config)
	read(t, client, ref)
	endLogins(t, server, role)
	read(t, client, ref) // with the same secret id
	endLogins(t, server, role)
	second := server.WrappedSecretID(t, role, time.Hour)
	put(second)
	read(t, client, ref)
	endLogins(t, server, role)
	if err := os.Remove(config.Auth.SecretIDFile); err != nil { // as some who put it there do
		t.Fatal(err)
	}
	read(t, client, ref)
	endLogins(t, server, role)
	put(second)
	_, err = client.ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.LoginFailed, "the next one needs a new wrapping token in "+config.Auth.SecretIDFile, token, second)

	// After a restart of the program, the token is one that was used.
	_, err = newClient(t, config).ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.LoginFailed, "it was used already, or has expired\neach start of this program needs a new wrapping token in the file", token, second)
	_, _, err = stagesOf(t, config, "")
	wantFailure(t, err, secret.LoginFailed, "somebody else may have unwrapped it", token, second)
}

func TestWrappingTokenIsOfNoUse(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	role, other := server.AppRole(t, nil), server.AppRole(t, nil)
	expired := server.WrappedSecretID(t, role, time.Second)
	waitFor(t, "end of the wrapping token", func() bool { return !alive(t, server, expired) })
	foreign, exchanged := server.WrappedSecretID(t, other, time.Hour), server.Wrap(t, map[string]any{"secret_id": canary})
	tests := map[string]struct{ token, part string }{
		"expired":      {expired, "it was used already, or has expired"},
		"no such":      {"hvs." + canary, "it was used already, or has expired"},
		"exchanged":    {exchanged, `was made at "sys/wrapping/wrap" and not at auth/` + role.Mount + "/role/ROLE/secret-id"},
		"of another":   {foreign, `was made at "auth/` + other.Mount + `/role/weir/secret-id" and not at`},
		"not wrapped":  {role.SecretID, "looks like a secret id that is not wrapped"},
		"no token":     {"two words", "white space"},
		"a long token": {server.Token(t, servers.TokenConfig{}), "it was used already, or has expired"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, put := secretIDFile(t, server, role, true)
			put(test.token)
			client := newClient(t, config)
			_, err := client.ReadSecret(t.Context(), secret.Ref{Path: "secret/oracle"})
			wantFailure(t, err, secret.LoginFailed, test.part, test.token)
		})
	}
	t.Cleanup(func() { // of the tests above, which have ended
		for _, token := range []string{foreign, exchanged} {
			if !alive(t, server, token) {
				t.Error("a wrapping token was used up though it was not for this login")
			}
		}
	})
}

// alive tells whether a wrapping token can still be used.
func alive(t *testing.T, server *servers.VaultServer, token string) bool {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, server.Address+"/v1/sys/wrapping/lookup", strings.NewReader(`{"token":"`+token+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// A request that may use up the token is not sent twice; when its answer is lost, the
// next error says that this program may be who used it.
func TestUnwrappingIsInterrupted(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	role := server.AppRole(t, nil)
	config, put := secretIDFile(t, server, role, true)
	put(server.WrappedSecretID(t, role, time.Hour))
	var requests atomic.Int64
	config.Address = front(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/v1/sys/wrapping/unwrap" {
			return false
		}
		requests.Add(1)
		unwrap, err := http.NewRequest(http.MethodPut, server.Address+r.URL.Path, nil)
		if err == nil {
			unwrap.Header.Set("X-Vault-Token", r.Header.Get("X-Vault-Token"))
			if response, err := http.DefaultClient.Do(unwrap); err == nil {
				response.Body.Close()
			}
		}
		panic(http.ErrAbortHandler) // the answer is lost
	})
	client := newClient(t, config)
	_, err := client.ReadSecret(t.Context(), secret.Ref{Path: "secret/oracle"})
	wantFailure(t, err, secret.Unreachable, "")
	_, err = client.ReadSecret(t.Context(), secret.Ref{Path: "secret/oracle"})
	wantFailure(t, err, secret.LoginFailed, "this program tried to use it, and got no answer")
	if got := requests.Load(); got != 1 {
		t.Errorf("the token was sent to be unwrapped %d times, want once", got)
	}
}
