package git_test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/git"
	"github.com/weir-engine/weir/tasks/taskstest"
	"github.com/weir-engine/weir/testdata/servers"
)

// hang gives the address of a server that takes connections and says nothing.
func hang(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var conns []net.Conn
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns = append(conns, c)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for _, c := range conns {
			c.Close()
		}
	})
	return l.Addr().String()
}

// closed gives an address where nobody listens.
func closed(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// answer is a server that gives one status to everything.
func answer(status int) func(http.Handler) http.Handler {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// Some servers repeat what they got.
			_, p, _ := r.BasicAuth()
			http.Error(w, "you sent "+p, status)
		})
	}
}

// It is not parallel: the suite counts goroutines.
func TestConformance(t *testing.T) {
	work := newWork(t)
	bare := newBare(t, work)
	root := filepath.Dir(bare)
	plain := servers.GitHTTP(t, servers.GitHTTPOptions{Root: root, User: "ada", Password: password})
	secure := servers.GitHTTP(t, servers.GitHTTPOptions{Root: root, Password: token, TLS: true})
	private, public := keyPair(t, "")
	shell := servers.GitSSH(t, servers.GitSSHOptions{Root: root, Keys: []string{public}, Password: password})
	status := func(code int) map[string]any {
		s := servers.GitHTTP(t, servers.GitHTTPOptions{Root: root, Wrap: answer(code)})
		return map[string]any{"repository_url": s.URL + "/library.git", "username": "ada", "password": taskstest.Canary}
	}
	overHTTP := map[string]any{"repository_url": plain.URL + "/library.git", "username": "ada", "password": password}
	overSSH := map[string]any{"repository_url": shell.URL + "/library.git", "ssh_key": private, "known_hosts": shell.KnownHosts}
	overTLS := map[string]any{"repository_url": secure.URL + "/library.git", "token": token, "ca_cert": secure.CACert}

	taskstest.Run(t, taskstest.Suite{
		Driver: git.New(git.Config{Home: root, AgentSocket: "/nowhere"}),
		Working: map[string]map[string]any{
			"metadata":       {"repository_url": bare},
			"get":            with(overHTTP, "command", "get"),
			"get into files": with(overSSH, "command", "get", "files_path", "out"),
			"list":           with(overTLS, "command", "list"),
			"log":            with(overTLS, "command", "log"),
			"commit":         with(overSSH, "command", "commit", "message", "m", "branch", "b", "files", map[string]any{"x": "x"}),
			"tag":            with(overHTTP, "command", "tag", "tag", "t1"),
		},
		Failing: map[string]taskstest.Failure{
			"wrong password":     {Inputs: with(overHTTP, "password", taskstest.Canary), Kind: tasks.Denied, Auth: true},
			"wrong token":        {Inputs: with(overTLS, "token", taskstest.Canary), Kind: tasks.Denied, Auth: true},
			"wrong key":          {Inputs: with(overSSH, "ssh_key", first(keyPair(t, ""))), Kind: tasks.Denied, Auth: true},
			"wrong SSH password": {Inputs: map[string]any{"repository_url": shell.URL + "/library.git", "password": taskstest.Canary, "known_hosts": shell.KnownHosts}, Kind: tasks.Denied, Auth: true},
			"bad key":            {Inputs: with(overSSH, "ssh_key", taskstest.Canary), Kind: tasks.Invalid},
			"no credentials":     {Inputs: map[string]any{"repository_url": plain.URL + "/library.git"}, Kind: tasks.Denied},
			"forbidden":          {Inputs: status(403), Kind: tasks.Denied},
			"unauthorized":       {Inputs: status(401), Kind: tasks.Denied, Auth: true},
			"gone":               {Inputs: status(410), Kind: tasks.Permanent},
			"down":               {Inputs: status(503), Kind: tasks.Unavailable},
			"busy":               {Inputs: status(429), Kind: tasks.Unavailable},
			"no repository":      {Inputs: with(overHTTP, "repository_url", plain.URL+"/nope.git"), Kind: tasks.NotFound},
			"no SSH repository":  {Inputs: with(overSSH, "repository_url", shell.URL+"/nope.git"), Kind: tasks.NotFound},
			"no ref":             {Inputs: with(overHTTP, "ref", "nope"), Kind: tasks.NotFound},
			"unknown authority":  {Inputs: map[string]any{"repository_url": secure.URL + "/library.git", "token": taskstest.Canary}, Kind: tasks.Denied},
			"no TLS there":       {Inputs: with(overHTTP, "repository_url", strings.Replace(plain.URL, "http:", "https:", 1)+"/library.git"), Kind: tasks.Permanent},
			"closed port":        {Inputs: map[string]any{"repository_url": "http://" + closed(t) + "/x", "username": "u", "password": taskstest.Canary}, Kind: tasks.Unavailable},
			"closed SSH port":    {Inputs: map[string]any{"repository_url": "ssh://" + closed(t) + "/x", "password": taskstest.Canary}, Kind: tasks.Unavailable},
			"no such host":       {Inputs: map[string]any{"repository_url": "https://no-such-host.invalid/x", "token": taskstest.Canary}, Kind: tasks.Unavailable},
			"no such SSH host":   {Inputs: map[string]any{"repository_url": "git@no-such-host.invalid:x", "password": taskstest.Canary}, Kind: tasks.Unavailable},
			"slow":               {Inputs: map[string]any{"repository_url": "http://" + hang(t) + "/x", "connect_timeout": "50ms"}, Kind: tasks.Timeout},
			"slow SSH":           {Inputs: map[string]any{"repository_url": "ssh://" + hang(t) + "/x", "password": taskstest.Canary, "connect_timeout": "50ms"}, Kind: tasks.Timeout},
			"URL with password":  {Inputs: map[string]any{"repository_url": "https://ada:" + taskstest.Canary + "@example.com/x"}, Kind: tasks.Invalid},
			"URL with token":     {Inputs: map[string]any{"repository_url": "https://" + taskstest.Canary + "@example.com/x"}, Kind: tasks.Invalid},
			"URL with bad token": {Inputs: map[string]any{"repository_url": "https://u:" + taskstest.Canary + "%zz@example.com/x"}, Kind: tasks.Invalid},
			"path that leads out": {Inputs: with(overHTTP, "command", "get", "files_path", "../"+"out"),
				Kind: tasks.Invalid},
		},
		Hanging: map[string]map[string]any{
			"http":  {"repository_url": "http://" + hang(t) + "/x"},
			"https": {"repository_url": "https://" + hang(t) + "/x"},
			"ssh":   {"repository_url": "ssh://" + hang(t) + "/x", "password": "x"},
		},
	})
}

func first(a, _ string) string { return a }

func TestURLs(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"ext::sh -c 'touch /tmp/x'":   `the remote helper "ext"`,
		"git://example.com/x":         `scheme "git"`,
		"ftp://example.com/x":         `scheme "ftp"`,
		"-uhost:path":                 "begins with a dash",
		"ssh://-oProxyCommand=x/path": "begins with a dash",
		"git@host:-x":                 "begins with a dash",
		"https://example.com":         "names no repository",
		"https:///x":                  "names no host",
		"https://example.com/x?a=b":   "a query or a fragment",
		"https://example.com:99999/x": "a port",
		"file://server/x":             "another host",
		"ssh://git:pw@example.com/x":  "holds credentials",
		"https://example.com/a\nb":    "more than one line",
	} {
		_, err := run(t, map[string]any{"repository_url": url})
		e := wantError(t, err, tasks.Invalid, want)
		if e.Input != "repository_url" {
			t.Errorf("%s: the input at fault is %q", url, e.Input)
		}
	}
}

func TestMessagesTellWhereItFailed(t *testing.T) {
	t.Parallel()
	bare := newBare(t, newWork(t))
	secure := servers.GitHTTP(t, servers.GitHTTPOptions{Root: filepath.Dir(bare), TLS: true})
	for url, parts := range map[string][]string{
		"https://no-such-host.invalid/x":          {`look up host "no-such-host.invalid": there is no such host`},
		"http://" + closed(t) + "/x":              {"connect to 127.0.0.1:", "connection refused"},
		"git@no-such-host.invalid:x":              {`look up host "no-such-host.invalid"`},
		secure.URL + "/library.git":               {"an authority that is not trusted", "`ca_cert`"},
		"ssh://git@" + closed(t) + "/library.git": {"connection refused"},
	} {
		_, err := run(t, map[string]any{"repository_url": url, "password": "x"})
		kind := tasks.Unavailable
		if strings.HasPrefix(url, secure.URL) {
			kind = tasks.Denied
		}
		wantError(t, err, kind, append(parts, "metadata "+url)...)
	}
}

func TestTLSIsCheckedUnlessSwitchedOff(t *testing.T) {
	t.Parallel()
	bare := newBare(t, newWork(t))
	secure := servers.GitHTTP(t, servers.GitHTTPOptions{Root: filepath.Dir(bare), TLS: true})
	e := taskstest.NewExecution(t)
	if _, err := runIn(t, e, map[string]any{"repository_url": secure.URL + "/library.git", "tls_verify": false}); err != nil {
		t.Error(err)
	}
	if said := strings.Join(e.Said(), "\n"); !strings.Contains(said, "tls_verify is off") {
		t.Errorf("no warning in %q", said)
	}
	_, err := run(t, map[string]any{"repository_url": secure.URL + "/library.git", "ca_cert": "rubbish"})
	wantError(t, err, tasks.Invalid, "no certificate in PEM format")
}

func TestConnectionTest(t *testing.T) {
	t.Parallel()
	work := newWork(t)
	root := filepath.Dir(newBare(t, work))
	secure := servers.GitHTTP(t, servers.GitHTTPOptions{Root: root, Password: token, TLS: true})
	private, public := keyPair(t, "")
	shell := servers.GitSSH(t, servers.GitSSHOptions{Root: root, Keys: []string{public}})
	overTLS := map[string]any{"repository_url": secure.URL + "/library.git", "token": token, "ca_cert": secure.CACert}
	overSSH := map[string]any{"repository_url": shell.URL + "/library.git", "ssh_key": private, "known_hosts": shell.KnownHosts}
	byName := strings.Replace(secure.URL, "127.0.0.1", "localhost", 1)
	for name, tt := range map[string]struct {
		inputs map[string]any
		want   string
		kind   tasks.Kind
	}{
		"https":             {overTLS, "tcp tls authenticate ls-remote", ""},
		"https by name":     {with(overTLS, "repository_url", byName+"/library.git"), "dns tcp tls authenticate ls-remote", ""},
		"ssh":               {overSSH, "tcp host_key authenticate ls-remote", ""},
		"local":             {map[string]any{"repository_url": work}, "open ls-remote", ""},
		"no such host":      {map[string]any{"repository_url": "https://no-such-host.invalid/x"}, "dns!", tasks.Unavailable},
		"no such SSH host":  {map[string]any{"repository_url": "x@no-such-host.invalid:x", "password": "x"}, "dns!", tasks.Unavailable},
		"closed":            {map[string]any{"repository_url": "https://" + closed(t) + "/x"}, "tcp!", tasks.Unavailable},
		"closed SSH":        {map[string]any{"repository_url": "ssh://" + closed(t) + "/x", "password": "x"}, "tcp!", tasks.Unavailable},
		"unknown authority": {map[string]any{"repository_url": secure.URL + "/library.git"}, "tcp tls!", tasks.Denied},
		"wrong token":       {with(overTLS, "token", "wrong"), "tcp tls authenticate!", tasks.Denied},
		"unknown host key":  {with(overSSH, "known_hosts", ""), "tcp host_key!", tasks.Denied},
		"wrong key":         {with(overSSH, "ssh_key", first(keyPair(t, ""))), "tcp host_key authenticate!", tasks.Denied},
		"no repository":     {with(overTLS, "repository_url", secure.URL+"/nope.git"), "tcp tls authenticate ls-remote!", tasks.NotFound},
		"no SSH repository": {with(overSSH, "repository_url", shell.URL+"/nope.git"), "tcp host_key authenticate ls-remote!", tasks.NotFound},
		"no directory":      {map[string]any{"repository_url": "/nope"}, "open!", tasks.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := taskstest.NewExecution(t)
			stages, err := e.Test(t.Context(), t, git.New(git.Config{Home: e.Dir, AgentSocket: "/nowhere"}), tt.inputs)
			var got []string
			for _, s := range stages {
				if s.Err != nil {
					s.Name += "!"
				}
				got = append(got, s.Name)
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("(-want +got):\n%s\n%v", diff, err)
			}
			if tt.kind == "" && err != nil {
				t.Error(err)
			}
			if tt.kind != "" {
				wantError(t, err, tt.kind)
			}
		})
	}
}

func TestAServerThatStopsInTheMiddle(t *testing.T) {
	t.Parallel()
	bare := newBare(t, newWork(t))
	stopped := make(chan struct{})
	server := servers.GitHTTP(t, servers.GitHTTPOptions{Root: filepath.Dir(bare), Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
				_, _ = w.Write([]byte("0008NAK\n"))
				w.(http.Flusher).Flush()
				<-stopped
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	}})
	time.AfterFunc(50*time.Millisecond, func() { close(stopped) })
	_, err := run(t, map[string]any{"repository_url": server.URL + "/library.git"})
	if e := wantError(t, err, tasks.Unavailable); e.Auth {
		t.Error("it says that credentials were refused")
	}
}

func TestMachineIdentity(t *testing.T) {
	t.Parallel()
	bare := newBare(t, newWork(t))
	root := filepath.Dir(bare)
	private, public := keyPair(t, "")
	shell := servers.GitSSH(t, servers.GitSSHOptions{Root: root, Keys: []string{public}})
	host, port, _ := strings.Cut(shell.Address, ":")
	home := t.TempDir()
	write(t, home, map[string]string{
		".ssh/known_hosts": shell.KnownHosts + "\n",
		".ssh/my_key":      private,
		".ssh/config":      "Host work\n  HostName " + host + "\n  Port " + port + "\n  User git\n  IdentityFile ~/.ssh/my_key\n",
	})
	machine := git.New(git.Config{Home: home, AgentSocket: "/nowhere"})
	inputs := map[string]any{"repository_url": "work:/library.git", "auth_method": "default"}
	if _, err := taskstest.NewExecution(t).Run(t.Context(), t, machine, inputs); err != nil {
		t.Errorf("with ~/.ssh: %v", err)
	}
	_, err := taskstest.NewExecution(t).Run(t.Context(), t, machine, with(inputs, "auth_method", "auto"))
	wantError(t, err, tasks.Denied, "no credentials for work", "auth_method: default")

	secure := servers.GitHTTP(t, servers.GitHTTPOptions{Root: root, User: "ada", Password: password, TLS: true})
	overTLS := map[string]any{"repository_url": secure.URL + "/library.git", "ca_cert": secure.CACert, "auth_method": "default"}
	_, err = taskstest.NewExecution(t).Run(t.Context(), t, machine, overTLS)
	wantError(t, err, tasks.Denied, "wants credentials, and there are none")
	store := strings.Replace(secure.URL, "https://", "https://ada:"+password+"@", 1)
	write(t, home, map[string]string{
		".gitconfig":       "[credential]\n\thelper = store\n",
		".git-credentials": store + "\n",
	})
	e := taskstest.NewExecution(t)
	if _, err := e.Run(t.Context(), t, machine, overTLS); err != nil {
		t.Errorf("with git's credential helper: %v", err)
	}
	if !e.Masked(password) {
		t.Error("what git's credential helper gave is not masked")
	}
	_, err = taskstest.NewExecution(t).Run(t.Context(), t, git.New(git.Config{Home: home, Program: "no-such-git"}), overTLS)
	wantError(t, err, tasks.Denied, "wants credentials")
	if err := os.WriteFile(filepath.Join(home, ".git-credentials"), []byte(strings.Replace(store, password, "wrong", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = taskstest.NewExecution(t).Run(t.Context(), t, machine, overTLS)
	if e := wantError(t, err, tasks.Denied, "refused the credentials"); !e.Auth {
		t.Error("it does not say that credentials were refused")
	}
}
