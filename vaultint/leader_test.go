package vaultint_test

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/testdata/servers"
)

// A standby sends its clients to the leader; one that has no leader yet answers 503.
// Neither fails a read, nor costs a login.
func TestLeaderChanges(t *testing.T) {
	t.Parallel()
	server := servers.Vault(t)
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	role := server.AppRole(t, nil, server.Policy(t, mayRead(mount+"/data/*")))
	var standby atomic.Bool
	var refusals atomic.Int64
	config := withRole(server, role)
	config.Address = front(t, server, func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case refusals.Add(-1) >= 0:
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"errors":["local node not active but active cluster node not found"]}`))
		case standby.Load():
			w.Header().Set("Location", server.Address+r.URL.RequestURI())
			w.WriteHeader(http.StatusTemporaryRedirect)
		default:
			return false
		}
		return true
	})
	standby.Store(true)
	client := newClient(t, config)
	ref := secret.Ref{Path: mount + "/oracle"}
	read(t, client, ref)
	standby.Store(false)
	refusals.Store(2)
	read(t, client, ref)
	standby.Store(true)
	read(t, client, ref)
	if got := server.Requests(t, "auth/"+role.Mount+"/login"); got != 1 {
		t.Errorf("got %d logins, want 1", got)
	}
}
