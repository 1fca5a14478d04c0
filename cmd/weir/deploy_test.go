package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine/store"
)

// shipped reads a file of deploy.
func shipped(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// unitOf gives the settings of a unit, and how often each is set.
func unitOf(text string) map[string][]string {
	set := map[string][]string{}
	for _, line := range strings.Split(text, "\n") {
		if key, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			set[key] = append(set[key], value)
		}
	}
	return set
}

// understood tells what is wrong with a command line of weir.
func understood(t *testing.T, line []string) {
	t.Helper()
	root := newRoot(&app{process: process{getenv: func(string) string { return "" }, home: os.UserHomeDir}, wired: &wired{}})
	cmd, rest, err := root.Find(line[1:])
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil || cmd == root {
		t.Errorf("%q: %v", line, err)
	}
}

// TestUnit: the unit calls what there is, where it is told to be put, and its times and
// places agree with each other and with weir.yaml.
func TestUnit(t *testing.T) {
	t.Parallel()
	unit, readme := unitOf(shipped(t, "weir.service")), shipped(t, "README.md")
	for _, key := range []string{"ExecStart", "ExecStartPre"} {
		if len(unit[key]) != 1 {
			t.Fatalf("%s is set %d times", key, len(unit[key]))
		}
		line := strings.Fields(strings.TrimPrefix(unit[key][0], "-"))
		understood(t, line)
		if !strings.Contains(readme, " weir "+line[0]+" ") {
			t.Errorf("README.md does not put weir at %s", line[0])
		}
	}
	env := map[string]string{}
	for _, pair := range strings.Fields(unit["Environment"][0]) {
		key, value, _ := strings.Cut(pair, "=")
		env[key] = value
	}
	if got, want := env["WEIR_DATA_DIR"], "/var/lib/"+unit["StateDirectory"][0]; got != want || unit["WorkingDirectory"][0] != want {
		t.Errorf("the store is %s, and the directory that systemd makes %s", got, want)
	}
	for _, want := range []string{env["WEIR_CONFIG"], "/etc/" + unit["ConfigurationDirectory"][0] + "/flows"} {
		if !strings.Contains(readme, want) {
			t.Errorf("README.md does not make %s", want)
		}
	}
	credential, file, _ := strings.Cut(unit["LoadCredentialEncrypted"][0], ":")
	if credential != masterKeyCredential || !strings.Contains(readme, "--name="+credential+" - "+file) {
		t.Errorf("credential %s in %s", credential, file)
	}
	if user := strings.Fields(shipped(t, "weir.sysusers")); user[1] != unit["User"][0] || user[len(user)-1] != env["WEIR_DATA_DIR"] {
		t.Errorf("the user is %q", user)
	}
	for key, want := range map[string]string{"NoNewPrivileges": "yes", "ProtectSystem": "strict", "CapabilityBoundingSet": "", "LimitCORE": "0", "Type": "notify", "KillMode": "mixed"} {
		if got := unit[key]; !slices.Equal(got, []string{want}) {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	grace := settingOf(t, "grace")
	stop, err := time.ParseDuration(unit["TimeoutStopSec"][0])
	running, graceErr := time.ParseDuration(grace)
	if err != nil || graceErr != nil || stop < running+closingPatience+tracesPatience {
		t.Errorf("TimeoutStopSec %s is too short for the grace of %s: %v, %v", stop, grace, err, graceErr)
	}
	if got := settingOf(t, "listen"); got != defaultListen {
		t.Errorf("weir.yaml listens at %s, and README.md says %s", got, defaultListen)
	}
}

// settingOf gives what "weir config show" says of a setting in the weir.yaml that is
// shipped.
func settingOf(t *testing.T, name string) string {
	t.Helper()
	var out, said bytes.Buffer
	env := map[string]string{"WEIR_CONFIG": filepath.Join("deploy", "weir.yaml"), "WEIR_DATA_DIR": t.TempDir()}
	code := execute(t.Context(), []string{"config", "show"}, process{
		in: strings.NewReader(""), out: &out, err: &said, now: time.Now,
		getenv: func(key string) string { return env[key] }, home: os.UserHomeDir, terminal: func(any) bool { return false },
	})
	match := regexp.MustCompile(`(?m)^` + name + ` +(\S+) +\S+weir.yaml:`).FindStringSubmatch(out.String())
	if code != 0 || match == nil {
		t.Fatalf("%s is not in weir.yaml: %d %s%s", name, code, &out, &said)
	}
	return match[1]
}

// TestContainerfile: the container starts what it holds, as a user without rights,
// where the key is looked for and with an address that is taken.
func TestContainerfile(t *testing.T) {
	t.Parallel()
	text := strings.ReplaceAll(shipped(t, "Containerfile"), "\\\n", " ")
	find := func(pattern string) []string {
		t.Helper()
		match := regexp.MustCompile(`(?m)^` + pattern + `$`).FindStringSubmatch(text)
		if match == nil {
			t.Fatalf("no line is like %s", pattern)
		}
		return match
	}
	binary := find(`COPY weir (\S+)`)[1]
	if entry := find(`ENTRYPOINT \["(\S+)"\]`)[1]; entry != binary {
		t.Errorf("%s is started, and weir is at %s", entry, binary)
	}
	words := func(list string) []string {
		return strings.Split(strings.ReplaceAll(strings.ReplaceAll(list, `"`, ""), " ", ""), ",")
	}
	understood(t, append([]string{binary}, words(find(`CMD \[(.*)\]`)[1])...))
	check := words(find(`HEALTHCHECK .* CMD \[(.*)\]`)[1])
	understood(t, check)
	user := find(`USER ([1-9][0-9]*:[1-9][0-9]*)`)[1]
	env := map[string]string{}
	for _, pair := range strings.Fields(find(`ENV (.*)`)[1]) {
		key, value, _ := strings.Cut(pair, "=")
		env[key] = value
	}
	state := find(`COPY --chown=` + user + ` state (/var\S+)`)[1]
	if env["WEIR_DATA_DIR"] != state || find(`VOLUME (\S+)`)[1] != state || check[0] != binary {
		t.Errorf("the store is at %s, its directory at %s", env["WEIR_DATA_DIR"], state)
	}
	if l := (listening{address: env["WEIR_LISTEN"], plain: env["WEIR_PLAIN_HTTP"] == "true"}); l.check() != nil {
		t.Errorf("it cannot listen at %s: %v", l.address, l.check())
	}
	if _, port, err := net.SplitHostPort(env["WEIR_LISTEN"]); err != nil || find(`EXPOSE (\d+)`)[1] != port || !strings.HasSuffix(defaultListen, port) {
		t.Errorf("it listens at %s", env["WEIR_LISTEN"])
	}
	readme := shipped(t, "README.md")
	if uid, _, _ := strings.Cut(user, ":"); env["CREDENTIALS_DIRECTORY"] != "/run/secrets" || !strings.Contains(readme, "--secret "+masterKeyCredential+",uid="+uid) {
		t.Errorf("README.md does not mount the key at %s for %s", env["CREDENTIALS_DIRECTORY"], user)
	}
}

// TestServiceManager: who has started the engine is told when it serves and when it
// ends, and the key is taken from the credential that it gave.
func TestServiceManager(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "weir") // a path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, "notify")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = manager.Close() })
	next := func() string {
		t.Helper()
		buffer := make([]byte, 100)
		n, err := manager.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		return string(buffer[:n])
	}
	const key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n"
	if err := os.WriteFile(filepath.Join(dir, masterKeyCredential), []byte(key), 0o400); err != nil {
		t.Fatal(err)
	}
	s := newDaemonHere(t, "NOTIFY_SOCKET="+filepath.Join(dir, "notify"), "CREDENTIALS_DIRECTORY="+dir)
	if got := next(); got != "READY=1" {
		t.Errorf("got %q", got)
	}
	if opened, err := store.Open(t.Context(), store.Config{Dir: s.data, Key: store.KeyText("test", key)}); err != nil {
		t.Error(err)
	} else {
		_ = opened.Close()
	}
	if _, err := os.Stat(filepath.Join(s.data, "master.key")); err == nil {
		t.Error("there is a key beside the store")
	}
	health := func() int {
		return execute(t.Context(), []string{"health"}, process{
			in: strings.NewReader(""), out: io.Discard, err: io.Discard, now: time.Now, home: os.UserHomeDir, terminal: func(any) bool { return false },
			getenv: func(key string) string { return map[string]string{"WEIR_ADDR": s.address}[key] },
		})
	}
	if got := health(); got != 0 {
		t.Errorf("weir health exits with %d", got)
	}
	s.stop()
	if got := next(); got != "STOPPING=1" {
		t.Errorf("got %q", got)
	}
	if got := health(); got != exitUnavailable {
		t.Errorf("weir health exits with %d", got)
	}
}

// newDaemonHere starts a daemon in a directory of its own.
func newDaemonHere(t *testing.T, args ...string) *runningDaemon {
	t.Helper()
	dir := t.TempDir()
	d, err := startDaemon(t, dir, filepath.Join(dir, "data"), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.stop)
	return d
}
