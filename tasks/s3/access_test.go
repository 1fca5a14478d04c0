package s3_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/s3"
	"github.com/weir-engine/weir/tasks/taskstest"
	"github.com/weir-engine/weir/testdata/servers"
)

// withoutKeys are the inputs of a bucket whose credentials come from elsewhere.
func withoutKeys(in inputs, method string) inputs {
	return in.with(inputs{"access_key_id": nil, "secret_access_key": nil, "auth_method": method, "command": "list"})
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	in := bucket(t)
	dir := t.TempDir()
	c := s3.Config{ConfigFile: filepath.Join(dir, "config"), CredentialsFile: filepath.Join(dir, "credentials")}
	text := fmt.Sprintf("[default]\naws_access_key_id = nobody\naws_secret_access_key = nothing\n[team]\naws_access_key_id = %s\naws_secret_access_key = %s\n",
		in["access_key_id"], in["secret_access_key"])
	for file, text := range map[string]string{c.CredentialsFile: text, c.ConfigFile: "[profile team]\nregion = us-east-1\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cli := withoutKeys(in, "aws_cli")
	e := taskstest.NewExecution(t)
	mustIn(t, e, s3.New(c), cli.with(inputs{"profile": "team", "region": ""}))
	if !e.Masked(in["secret_access_key"].(string)) {
		t.Error("the profile's secret is not masked")
	}
	_, err := e.Run(t.Context(), t, s3.New(c), cli.with(inputs{"profile": "default"}))
	if kindOf(err) != tasks.Denied {
		t.Errorf("the wrong profile: got %v", err)
	}
	_, err = e.Run(t.Context(), t, s3.New(c), cli.with(inputs{"profile": "none"}))
	if kindOf(err) != tasks.NotFound || !strings.Contains(err.Error(), "no profile none") {
		t.Errorf("no profile: got %v", err)
	}
}

// TestDefault connects as the AWS command line does: by what the environment says,
// the endpoint included.
func TestDefault(t *testing.T) {
	server := servers.S3(t)
	t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey)
	t.Setenv("AWS_ENDPOINT_URL_S3", server.Endpoint)
	in := inputs{"command": "create_bucket", "bucket": "by-default", "path_style": true}
	for name, v := range s3.New(s3.Config{}).Spec().Default {
		in[name] = v
	}
	must(t, driver(), in)
	put(t, in, "k", "text")

	// What the environment says counts for nobody else.
	e := failure(t, at(server).with(inputs{"command": "list", "bucket": "by-default", "endpoint": "http://127.0.0.1:1"}))
	if e.Kind != tasks.Unavailable {
		t.Errorf("another endpoint: got %s: %s", e.Kind, e.Message)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	dir := t.TempDir()
	none := s3.New(s3.Config{ConfigFile: filepath.Join(dir, "none"), CredentialsFile: filepath.Join(dir, "none")})
	_, err := taskstest.NewExecution(t).Run(t.Context(), t, none, in)
	if kindOf(err) != tasks.Denied || !strings.Contains(err.Error(), "no credentials") {
		t.Errorf("no credentials: got %v", err)
	}
}

func TestAnonymous(t *testing.T) {
	t.Parallel()
	var signed []string
	m := newMemory(t, func(_ http.ResponseWriter, r *http.Request) bool {
		signed = append(signed, r.Header.Get("Authorization"))
		return false
	})
	m.store("memory/public", []byte("for all"))
	out := must(t, driver(), withoutKeys(m.at(), "anonymous").with(inputs{"command": "download", "key": "public"}))
	if out["content"] != "for all" || !cmp.Equal(signed, []string{""}) {
		t.Errorf("got %q, signed %q", out["content"], signed)
	}
}

// roles is a service that gives out the credentials of a role, and keeps what it was
// asked.
func roles(t *testing.T, key, secret string, lives time.Duration) (url string, asked *[]map[string]string) {
	t.Helper()
	asked = &[]map[string]string{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		form := map[string]string{}
		for name := range r.Form {
			form[name] = r.Form.Get(name)
		}
		*asked = append(*asked, form)
		if r.Form.Get("RoleArn") == "arn:aws:iam::1:role/closed" {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>`))
			return
		}
		action := r.Form.Get("Action")
		_, _ = fmt.Fprintf(w, `<%sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%sResult><Credentials><AccessKeyId>%s</AccessKeyId>`+
			`<SecretAccessKey>%s</SecretAccessKey><SessionToken></SessionToken><Expiration>%s</Expiration></Credentials></%sResult></%sResponse>`,
			action, action, key, secret, time.Now().Add(lives).UTC().Format(time.RFC3339), action, action)
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

func TestRoles(t *testing.T) {
	t.Parallel()
	in := bucket(t)
	url, asked := roles(t, in["access_key_id"].(string), in["secret_access_key"].(string), time.Hour)
	role := withoutKeys(in, "assume_role").with(inputs{
		"sts_endpoint": url, "role_arn": "arn:aws:iam::1:role/open", "external_id": "outside", "session_name": "flow",
		"access_key_id": "own-key-id", "secret_access_key": "own-secret-key",
	})
	e := taskstest.NewExecution(t)
	mustIn(t, e, driver(), role)
	if !e.Masked(in["secret_access_key"].(string)) {
		t.Error("the role's secret is not masked")
	}
	token := withoutKeys(in, "web_identity").with(inputs{"sts_endpoint": url, "role_arn": "arn:aws:iam::1:role/open", "web_identity_token": "a.b.c-token"})
	mustIn(t, e, driver(), token)
	first, second := (*asked)[0], (*asked)[1]
	if first["Action"] != "AssumeRole" || first["ExternalId"] != "outside" || first["RoleSessionName"] != "flow" || second["WebIdentityToken"] != "a.b.c-token" {
		t.Errorf("it was asked %v", *asked)
	}
	nobody := failure(t, role.with(inputs{"sts_endpoint": "http://127.0.0.1:1"}))
	if nobody.Kind != tasks.Unavailable || nobody.Input != "sts_endpoint" {
		t.Errorf("got %s at %q: %s", nobody.Kind, nobody.Input, nobody.Message)
	}
	denied := failure(t, role.with(inputs{"role_arn": "arn:aws:iam::1:role/closed"}))
	if denied.Kind != tasks.Denied || !strings.Contains(denied.Message, "sts:AssumeRole") {
		t.Errorf("got %s: %s", denied.Kind, denied.Message)
	}
}

// TestKeptCredentials shows for how long the credentials of a role are used again.
func TestKeptCredentials(t *testing.T) {
	t.Parallel()
	in := bucket(t)
	for name, c := range map[string]struct {
		ttl, lives time.Duration
		want       int
	}{
		"not at all":        {0, time.Hour, 3},
		"as allowed":        {time.Minute, time.Hour, 1},
		"up to their end":   {time.Hour, 10 * time.Minute, 1},
		"never close to it": {time.Hour, 4 * time.Minute, 3},
	} {
		url, asked := roles(t, in["access_key_id"].(string), in["secret_access_key"].(string), c.lives)
		role := withoutKeys(in, "web_identity").with(inputs{"sts_endpoint": url, "role_arn": "arn:aws:iam::1:role/open", "web_identity_token": "a.b.c-token"})
		d := driver()
		for range 3 {
			env := taskstest.NewExecution(t).Env()
			env.CredentialTTL = c.ttl
			s, err := d.Open(t.Context(), taskstest.Decode(t, d, role), env)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Do(t.Context()); err != nil {
				t.Error(err)
			}
			_ = s.Close()
		}
		if len(*asked) != c.want {
			t.Errorf("%s: asked %d times, want %d", name, len(*asked), c.want)
		}
	}
}

// TestRenewedCredentials shows that a session goes on with others before they end.
func TestRenewedCredentials(t *testing.T) {
	t.Parallel()
	in := bucket(t)
	put(t, in, "k", "text")
	for lives, want := range map[time.Duration]int{10 * time.Minute: 1, 30 * time.Second: 3} { // connect, HEAD, copy
		url, asked := roles(t, in["access_key_id"].(string), in["secret_access_key"].(string), lives)
		role := withoutKeys(in, "web_identity").with(inputs{"sts_endpoint": url, "role_arn": "arn:aws:iam::1:role/open", "web_identity_token": "a.b.c-token"})
		must(t, driver(), role.with(inputs{"command": "copy", "key": "k", "to_key": "l"}))
		if len(*asked) != want {
			t.Errorf("%s: asked %d times, want %d", lives, len(*asked), want)
		}
	}
}

func TestCredentialsAreRequired(t *testing.T) {
	t.Parallel()
	in := at(servers.S3(t)).with(inputs{"command": "list_buckets"})
	for _, name := range []string{"access_key_id", "secret_access_key"} {
		if e := failure(t, in.with(inputs{name: nil})); e.Kind != tasks.Invalid || e.Input != name {
			t.Errorf("without %s: got %s at %q", name, e.Kind, e.Input)
		}
	}
}

// TestNotOfTheMachine keeps what belongs to the machine from connections of others.
func TestNotOfTheMachine(t *testing.T) {
	server := servers.S3(t)
	t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey)
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/open")
	in := bucket(t)
	url, asked := roles(t, in["access_key_id"].(string), in["secret_access_key"].(string), time.Hour)
	env := taskstest.NewExecution(t).Env()
	env.Machine = false
	role := inputs{"sts_endpoint": url, "role_arn": "arn:aws:iam::1:role/open"}
	for name, c := range map[string]struct {
		in   inputs
		want string
	}{
		"aws_cli":                      {withoutKeys(in, "aws_cli"), "auth_method"},
		"default":                      {withoutKeys(in, "default"), "auth_method"},
		"default, with keys":           {in.with(inputs{"command": "list", "auth_method": "default"}), ""},
		"assume_role":                  {withoutKeys(in, "assume_role").with(role), "auth_method"},
		"assume_role, with keys":       {in.with(inputs{"command": "list", "auth_method": "assume_role"}).with(role), ""},
		"web_identity":                 {withoutKeys(in, "web_identity").with(role), "auth_method"},
		"web_identity, with a token":   {withoutKeys(in, "web_identity").with(role).with(inputs{"web_identity_token": "a.b.c-token"}), ""},
		"web_identity, without a role": {withoutKeys(in, "web_identity").with(inputs{"web_identity_token": "a.b.c-token"}), "role_arn"},
	} {
		err := run(t, driver(), c.in, env)
		var e *tasks.Error
		if errors.As(err, &e); c.want == "" && err != nil || c.want != "" && (e == nil || e.Input != c.want) {
			t.Errorf("%s: got %v", name, err)
		}
		if c.want == "auth_method" && e != nil && e.Kind != tasks.Denied {
			t.Errorf("%s: got %s", name, e.Kind)
		}
	}
	if len(*asked) != 2 {
		t.Errorf("roles were asked for %d times", len(*asked))
	}
}
