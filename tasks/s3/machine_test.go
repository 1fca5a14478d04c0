package s3_test

import (
	"crypto/sha1"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/s3"
	"github.com/weir-engine/weir/tasks/taskstest"
	"github.com/weir-engine/weir/testdata/servers"
)

// machine is one as the AWS command line sees it: nothing but what a test gives it.
type machine struct {
	t          *testing.T
	home       string
	key, token string // of the real server
	in         inputs // the implicit connection, and a bucket there
	config     s3.Config
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "") // as if it were not there
		}
	}
	in := bucket(t)
	m := &machine{t: t, home: t.TempDir(), key: in["access_key_id"].(string), token: in["secret_access_key"].(string)}
	t.Setenv("HOME", m.home)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_ENDPOINT_URL_S3", in["endpoint"].(string))
	m.in = inputs{"command": "list", "bucket": in["bucket"]}
	for name, v := range s3.New(s3.Config{}).Spec().Default {
		m.in[name] = v
	}
	m.config = s3.Config{ConfigFile: filepath.Join(m.home, "config"), CredentialsFile: filepath.Join(m.home, "credentials")}
	return m
}

func (m *machine) write(name, text string) string {
	m.t.Helper()
	file := filepath.Join(m.home, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o700); err != nil { //nolint:gosec // some are programs
		m.t.Fatal(err)
	}
	return file
}

// run runs a task, whose credentials must be masked if it goes well.
func (m *machine) run(in inputs) error {
	m.t.Helper()
	e := taskstest.NewExecution(m.t)
	_, err := e.Run(m.t.Context(), m.t, s3.New(s3.Impatient(m.config)), in)
	if err == nil && !e.Masked(m.token) {
		m.t.Error("the secret that was found is not masked")
	}
	return err
}

// answers serves one JSON text for each path.
func answers(t *testing.T, texts map[string]string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := texts[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestMachine finds credentials in each place where the AWS command line does.
func TestMachine(t *testing.T) {
	secure := servers.NewS3(t, servers.S3Config{TLS: true}) // while this is still the machine that builds it
	until := time.Now().Add(time.Hour).UTC()
	for name, prepare := range map[string]func(t *testing.T, m *machine) inputs{
		"a profile of the environment": func(t *testing.T, m *machine) inputs {
			t.Setenv("AWS_PROFILE", "team")
			m.write("credentials", fmt.Sprintf("[team]\naws_access_key_id=%s\naws_secret_access_key=%s\n", m.key, m.token))
			return nil
		},
		"a program": func(_ *testing.T, m *machine) inputs {
			program := m.write("give", fmt.Sprintf("#!/bin/sh\necho '{\"Version\": 1, \"AccessKeyId\": %q, \"SecretAccessKey\": %q}'\n", m.key, m.token))
			m.write("config", "[profile team]\ncredential_process = "+program+"\n")
			return inputs{"auth_method": "aws_cli", "profile": "team"}
		},
		"a single sign-on": func(t *testing.T, m *machine) inputs {
			signedOn(m, until)
			t.Setenv("AWS_ENDPOINT_URL_SSO", answers(t, map[string]string{"/federation/credentials": fmt.Sprintf(
				`{"roleCredentials": {"accessKeyId": %q, "secretAccessKey": %q, "sessionToken": "", "expiration": %d}}`, m.key, m.token, until.UnixMilli())}))
			return inputs{"auth_method": "aws_cli", "profile": "team"}
		},
		"a role of another profile": func(t *testing.T, m *machine) inputs {
			m.write("credentials", "[own]\naws_access_key_id = own-key-id\naws_secret_access_key = own-secret-key\n")
			m.write("config", "[profile team]\nrole_arn = arn:aws:iam::1:role/open\nsource_profile = own\nregion = us-east-1\n")
			sts, _ := roles(t, m.key, m.token, time.Hour)
			t.Setenv("AWS_ENDPOINT_URL_STS", sts)
			return inputs{"auth_method": "aws_cli", "profile": "team"}
		},
		"a role with a token in a file": func(t *testing.T, m *machine) inputs {
			sts, _ := roles(t, m.key, m.token, time.Hour)
			t.Setenv("AWS_ENDPOINT_URL_STS", sts)
			t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/open")
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", m.write("token", "a.b.c-token\n"))
			return inputs{"auth_method": "web_identity", "sts_endpoint": sts, "endpoint": os.Getenv("AWS_ENDPOINT_URL_S3")}
		},
		"the same by default": func(t *testing.T, m *machine) inputs {
			sts, _ := roles(t, m.key, m.token, time.Hour)
			t.Setenv("AWS_ENDPOINT_URL_STS", sts)
			t.Setenv("AWS_REGION", "us-east-1")
			t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/open")
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", m.write("token", "a.b.c-token\n"))
			return nil
		},
		"the environment, with authorities": func(t *testing.T, m *machine) inputs {
			t.Setenv("AWS_ACCESS_KEY_ID", m.key)
			t.Setenv("AWS_SECRET_ACCESS_KEY", m.token)
			t.Setenv("AWS_ENDPOINT_URL", secure.Endpoint)
			t.Setenv("AWS_ENDPOINT_URL_S3", "")
			t.Setenv("AWS_CA_BUNDLE", m.write("authorities.pem", secure.CACert))
			return inputs{"command": "list_buckets"}
		},
		"a container": func(t *testing.T, m *machine) inputs {
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", answers(t, map[string]string{"/role": fmt.Sprintf(
				`{"AccessKeyId": %q, "SecretAccessKey": %q, "Token": "", "Expiration": %q}`, m.key, m.token, until.Format(time.RFC3339))})+"/role")
			return nil
		},
		"a machine of EC2": func(t *testing.T, m *machine) inputs {
			const at = "/latest/meta-data/iam/security-credentials/"
			t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
			t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", answers(t, map[string]string{
				"/latest/api/token": "token", at: "role",
				at + "role": fmt.Sprintf(`{"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": %q, "SecretAccessKey": %q, "Token": "", "Expiration": %q}`,
					m.key, m.token, until.Format(time.RFC3339)),
			}))
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			if err := m.run(m.in.with(prepare(t, m))); err != nil {
				t.Errorf("got %v (%v)", err, errors.Unwrap(err))
			}
		})
	}
}

// signedOn leaves what "aws sso login" does, which is valid for a while.
func signedOn(m *machine, until time.Time) {
	m.t.Helper()
	m.write("config", "[profile team]\nsso_session = office\nsso_account_id = 1\nsso_role_name = reader\nregion = us-east-1\n"+
		"[sso-session office]\nsso_region = us-east-1\nsso_start_url = https://office.awsapps.com/start\n")
	text, err := json.Marshal(map[string]any{"accessToken": "a-token", "expiresAt": until.Format(time.RFC3339)})
	if err != nil {
		m.t.Fatal(err)
	}
	m.write(fmt.Sprintf(".aws/sso/cache/%x.json", sha1.Sum([]byte("office"))), string(text))
}

// TestMachineFails shows what is said when a machine has no credentials to give.
func TestMachineFails(t *testing.T) {
	for name, c := range map[string]struct {
		prepare     func(t *testing.T, m *machine)
		kind        tasks.Kind
		input, says string
	}{
		"nothing": {func(*testing.T, *machine) {}, tasks.Denied, "", "no credentials were found"},
		"nothing, not even on EC2": {func(t *testing.T, _ *machine) {
			t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
			t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", answers(t, nil))
		}, tasks.Denied, "", "no credentials were found"},
		"no EC2": {func(t *testing.T, _ *machine) {
			t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
			t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
			t.Setenv("AWS_MAX_ATTEMPTS", "1")
		}, tasks.Denied, "", "no credentials were found"},
		"a program that fails": {func(_ *testing.T, m *machine) {
			m.write("config", "[default]\ncredential_process = "+m.write("give", "#!/bin/sh\nexit 3\n")+"\n")
		}, tasks.Denied, "profile", "exit status 3"},
		"a program that says too much": {func(_ *testing.T, m *machine) {
			m.write("config", "[default]\ncredential_process = "+m.write("give", "#!/bin/sh\necho secret-in-its-output\n")+"\n")
		}, tasks.Denied, "profile", "what it prints is not what it should"},
		"a sign-on that has ended": {func(_ *testing.T, m *machine) {
			signedOn(m, time.Now().Add(-time.Hour))
		}, tasks.Denied, "profile", "not signed in"},
		"a sign-on that was never made": {func(_ *testing.T, m *machine) {
			signedOn(m, time.Now().Add(-time.Hour))
			_ = os.RemoveAll(filepath.Join(m.home, ".aws"))
		}, tasks.Denied, "profile", "not signed in"},
		"a code that nobody types": {func(_ *testing.T, m *machine) {
			m.write("credentials", "[own]\naws_access_key_id = own-key-id\naws_secret_access_key = own-secret-key\n")
			m.write("config", "[default]\nrole_arn = arn:aws:iam::1:role/open\nsource_profile = own\nmfa_serial = arn:aws:iam::1:mfa/me\n")
		}, tasks.Invalid, "profile", "mfa_serial"},
		"a role that is refused": {func(t *testing.T, m *machine) {
			m.write("credentials", "[own]\naws_access_key_id = own-key-id\naws_secret_access_key = own-secret-key\n")
			m.write("config", "[default]\nrole_arn = arn:aws:iam::1:role/closed\nsource_profile = own\nregion = us-east-1\n")
			sts, _ := roles(t, m.key, m.token, time.Hour)
			t.Setenv("AWS_ENDPOINT_URL_STS", sts)
		}, tasks.Denied, "", "sts:AssumeRole"},
		"a profile on one that is not there": {func(_ *testing.T, m *machine) {
			m.write("config", "[default]\nrole_arn = arn:aws:iam::1:role/open\nsource_profile = nobody\n")
		}, tasks.NotFound, "profile", "no profile nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			c.prepare(t, m)
			in := m.in
			if strings.Contains(name, "sign-on") {
				in = in.with(inputs{"auth_method": "aws_cli", "profile": "team"})
			}
			err := m.run(in)
			var e *tasks.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if e.Kind != c.kind || e.Input != c.input || !strings.Contains(e.Message, c.says) || strings.Contains(e.Message+e.Hint, "secret-in-its-output") {
				t.Errorf("got %s at %q: %v\nhint: %s\ncause: %v", e.Kind, e.Input, err, e.Hint, e.Err)
			}
		})
	}
}

// TestMachineRegion takes the region where the AWS command line does, unless the
// connection has one.
func TestMachineRegion(t *testing.T) {
	var signed string
	memory := newMemory(t, func(_ http.ResponseWriter, r *http.Request) bool {
		signed = r.Header.Get("Authorization")
		return false
	})
	m := newMachine(t)
	m.write("config", fmt.Sprintf("[default]\nregion = eu-west-1\n[profile far]\nregion = ap-south-1\nendpoint_url = %s\n[profile none]\n", memory.url))
	m.write("credentials", fmt.Sprintf("[default]\naws_access_key_id=some-key-id\naws_secret_access_key=%[1]s\n[far]\naws_access_key_id=some-key-id\naws_secret_access_key=%[1]s\n"+
		"[none]\naws_access_key_id=some-key-id\naws_secret_access_key=%[1]s\n", m.token))
	at := inputs{"command": "list", "bucket": "memory", "endpoint": memory.url}
	cli := at.with(inputs{"auth_method": "aws_cli"})
	for name, c := range map[string]struct {
		in   inputs
		env  string
		want string
	}{
		"of the profile":     {cli, "", "eu-west-1"},
		"of another profile": {cli.with(inputs{"profile": "far"}), "", "ap-south-1"},
		"with its endpoint":  {cli.with(inputs{"profile": "far", "endpoint": nil}), "", "ap-south-1"},
		"of no profile":      {cli.with(inputs{"profile": "none"}), "", "us-east-1"},
		"of the environment": {cli, "sa-east-1", "sa-east-1"},
		"of the connection":  {cli.with(inputs{"region": "us-west-2"}), "sa-east-1", "us-west-2"},
		"of the connection, though it is the usual one": {cli.with(inputs{"region": "us-east-1"}), "", "us-east-1"},
		"by default":           {m.in.with(at), "", "eu-west-1"},
		"with keys of its own": {at.with(inputs{"access_key_id": "some-key-id", "secret_access_key": m.token}), "sa-east-1", "us-east-1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AWS_REGION", c.env)
			t.Setenv("AWS_ENDPOINT_URL_S3", "")
			if err := m.run(c.in); err != nil && name != "with keys of its own" {
				t.Fatal(err)
			}
			if !strings.Contains(signed, "/"+c.want+"/s3/") {
				t.Errorf("signed %.120s, want %s", signed, c.want)
			}
		})
	}
}
