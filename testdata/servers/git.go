package servers

import (
	"bytes"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// GitHTTPOptions says how a Git server over HTTP behaves.
type GitHTTPOptions struct {
	// Root is the directory with the repositories.
	Root string
	// User and Password are what it wants; an empty Password lets everybody in.
	User, Password string
	TLS            bool
	// Wrap puts something before the server, such as a delay; nil means nothing.
	Wrap func(http.Handler) http.Handler
}

// GitHTTPServer is git's own HTTP server, behind this process's listener.
type GitHTTPServer struct {
	// URL is that of Root, without a slash at the end.
	URL string
	// CACert is the PEM text of the authority that signed its certificate; empty
	// without TLS.
	CACert string
}

// GitHTTP starts git http-backend for one test. Everybody whom it lets in may
// push.
func GitHTTP(tb testing.TB, o GitHTTPOptions) *GitHTTPServer {
	tb.Helper()
	path, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		tb.Fatalf("start a Git server: %v", err)
	}
	var handler http.Handler = &cgi.Handler{
		Path:   filepath.Join(strings.TrimSpace(string(path)), "git-http-backend"),
		Stderr: io.Discard,
		Logger: log.New(io.Discard, "", 0), // clients that break off are what tests want
		Env: []string{
			"GIT_PROJECT_ROOT=" + o.Root, "GIT_HTTP_EXPORT_ALL=1",
			"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_CONFIG_COUNT=2",
			"GIT_CONFIG_KEY_0=http.receivepack", "GIT_CONFIG_VALUE_0=true",
			"GIT_CONFIG_KEY_1=safe.directory", "GIT_CONFIG_VALUE_1=*",
		},
	}
	handler = whole(handler)
	if o.Password != "" {
		handler = login(handler, o.User, o.Password)
	}
	if o.Wrap != nil {
		handler = o.Wrap(handler)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	tb.Cleanup(server.Close)
	if !o.TLS {
		server.Start()
		return &GitHTTPServer{URL: server.URL}
	}
	dir := tb.TempDir()
	authority, err := writeCertificate(dir)
	if err != nil {
		tb.Fatalf("start a Git server: %v", err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		tb.Fatalf("start a Git server: %v", err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	return &GitHTTPServer{URL: server.URL, CACert: authority}
}

// whole reads the request before the program gets it, which wants to know its
// length and does not understand chunks, and passes on the protocol's version.
func whole(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "read the request", http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.ContentLength, r.TransferEncoding = int64(len(body)), nil
		if version := r.Header.Get("Git-Protocol"); version != "" {
			if h, ok := next.(*cgi.Handler); ok {
				copied := *h
				copied.Env = append(append([]string{}, h.Env...), "GIT_PROTOCOL="+version)
				copied.ServeHTTP(w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func login(next http.Handler, user, password string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, p, ok := r.BasicAuth()
		if !ok || p != password || user != "" && u != user {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "log in first", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// gitEnv keeps the git program from what is configured on this machine.
func gitEnv() []string {
	return append(os.Environ(),
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_CONFIG_COUNT=1",
		"GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
}
