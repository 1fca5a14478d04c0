package vaultint_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/testdata/servers"
	"github.com/weir-engine/weir/vaultint"
)

// tunnel is a proxy that connects to one address, whichever is asked for, or answers
// with a status. It tells how often it was asked.
func tunnel(t *testing.T, to string, status int) (*url.URL, *atomic.Int64) {
	t.Helper()
	var asked atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if status != http.StatusOK || r.Method != http.MethodConnect {
			w.WriteHeader(status)
			return
		}
		far, err := net.Dial("tcp", to)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer far.Close()
		near, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer near.Close()
		_, _ = io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			_, _ = io.Copy(far, near)
			_ = far.Close()
		}()
		_, _ = io.Copy(near, far)
	}))
	t.Cleanup(proxy.Close)
	address, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword("me", canary) // is never shown
	return address, &asked
}

func through(config vaultint.Config, proxy *url.URL) vaultint.Config {
	config.Address = "https://vault.test:8200" // which only the proxy knows
	config.Proxy = http.ProxyURL(proxy)
	return config
}

func TestProxy(t *testing.T) {
	t.Parallel()
	server := servers.NewVault(t, servers.VaultConfig{TLS: true})
	mount := server.MountKV(t, 2)
	server.PutKV(t, mount, "oracle", map[string]any{"user": "scott"})
	config := withToken(server, server.RootToken)
	target := strings.TrimPrefix(server.Address, "https://")
	ref := secret.Ref{Path: mount + "/oracle"}

	proxy, asked := tunnel(t, target, http.StatusOK)
	read(t, newClient(t, through(config, proxy)), ref)
	if asked.Load() == 0 {
		t.Error("the proxy was not asked")
	}
	said, names, err := stagesOf(t, through(config, proxy), ref.Path)
	if err != nil || len(names) != 5 {
		t.Fatalf("got the stages %v and %v", names, err)
	}
	for _, name := range []string{"dns", "tcp"} {
		if got, want := said[name].Detail, "(the proxy http://"+proxy.Host+")"; !strings.HasSuffix(got, want) {
			t.Errorf("%s: got %q, want %q at its end", name, got, want)
		}
	}

	refusing, _ := tunnel(t, target, http.StatusForbidden)
	asking, _ := tunnel(t, target, http.StatusProxyAuthRequired)
	broken, _ := tunnel(t, "127.0.0.1:1", http.StatusOK)
	tests := map[string]struct {
		proxy *url.URL
		stage string
		part  string
	}{
		"no such host":     {&url.URL{Scheme: "http", Host: "proxy.invalid:3128"}, "dns", `host "proxy.invalid" of the proxy http://proxy.invalid:3128 cannot be resolved`},
		"nobody there":     {&url.URL{Scheme: "http", Host: "127.0.0.1:1"}, "tcp", "nothing listens at the proxy http://127.0.0.1:1"},
		"refuses":          {refusing, "tls", "the proxy " + refusing.Host + " answered 403 Forbidden when it was to connect to https://vault.test:8200"},
		"wants a password": {asking, "tls", "answered 407 Proxy Authentication Required"},
		"cannot connect":   {broken, "tls", "answered 502 Bad Gateway"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, names, err := stagesOf(t, through(config, test.proxy), ref.Path)
			failed := wantFailure(t, err, secret.Unreachable, test.part, server.RootToken)
			if got := names[len(names)-1]; got != test.stage || !strings.Contains(failed.Hint, "NO_PROXY") {
				t.Errorf("ended at %s with the hint %q, want %s and what to do about the proxy", got, failed.Hint, test.stage)
			}
			_, err = newClient(t, through(config, test.proxy)).ReadSecret(t.Context(), ref)
			wantFailure(t, err, secret.Unreachable, test.part, server.RootToken)
		})
	}
	untrusted := through(config, proxy)
	untrusted.CACert = ""
	_, err = newClient(t, untrusted).ReadSecret(t.Context(), ref)
	wantFailure(t, err, secret.Unreachable, "the certificate of https://vault.test:8200 through the proxy http://"+proxy.Host+", of CN=vault.test until 20")
}
