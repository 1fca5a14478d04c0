package s3_test

import (
	"crypto/tls"
	"encoding/base64"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/taskstest"
	"github.com/weir-engine/weir/testdata/servers"
)

// cloud stands in for AWS: it is a proxy that answers by itself for all hosts of
// amazonaws.com, with certificates of its own. Behind it is a memory.
type cloud struct {
	*memory
	in       inputs // a bucket there, without an endpoint
	password string // that user ann must give to the proxy; empty: none

	mu    sync.Mutex
	asked []string // method, host and path of every request
}

func newCloud(t *testing.T, before func(w http.ResponseWriter, r *http.Request) bool) *cloud {
	t.Helper()
	c := &cloud{memory: newMemory(t, before)}
	authority := servers.NewAuthority(t, "cloud")
	signed := authority.Sign(t, servers.CertificateConfig{Name: "cloud", Hosts: []string{
		"s3.us-east-1.amazonaws.com", "*.s3.us-east-1.amazonaws.com", "s3.eu-central-1.amazonaws.com", "*.s3.eu-central-1.amazonaws.com", "*.s3.eu-west-1.amazonaws.com", "sts.eu-west-1.amazonaws.com",
		"*.s3-accesspoint.us-east-1.amazonaws.com",
	}})
	pair, err := tls.X509KeyPair([]byte(signed.Cert), []byte(signed.Key))
	if err != nil {
		t.Fatal(err)
	}
	inside := httptest.NewUnstartedServer(http.HandlerFunc(c.answer))
	inside.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	inside.StartTLS()
	t.Cleanup(inside.Close)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want := "Basic " + base64.StdEncoding.EncodeToString([]byte("ann:"+c.password))
		if c.password != "" && r.Header.Get("Proxy-Authorization") != want {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		tunnel(w, r, inside.Listener.Addr().String())
	}))
	t.Cleanup(proxy.Close)
	c.in = c.at().with(inputs{"endpoint": nil, "proxy": proxy.URL, "ca_cert": authority.PEM})
	return c
}

// TestProxyCredentials gives a proxy the credentials that it wants.
func TestProxyCredentials(t *testing.T) {
	t.Parallel()
	c := newCloud(t, nil)
	c.password = "pr0xy/password"
	in := c.in.with(inputs{"command": "list"})
	must(t, driver(), in.with(inputs{"proxy_username": "ann", "proxy_password": c.password}))
	for _, endpoint := range []any{nil, "http://s3.us-east-1.amazonaws.com"} {
		for _, password := range []any{nil, "another"} {
			e := failure(t, in.with(inputs{"proxy_username": "ann", "proxy_password": password, "endpoint": endpoint}))
			if e.Kind != tasks.Denied || e.Input != "proxy_password" || !strings.Contains(e.Message, "the proxy wants credentials") {
				t.Errorf("%v with %v: got %s at %q: %s", endpoint, password, e.Kind, e.Input, e.Message)
			}
		}
	}
}

// tunnel connects whoever asks for anything with one address.
func tunnel(w http.ResponseWriter, r *http.Request, address string) {
	if r.Method != http.MethodConnect {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	inner, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", address)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	outer, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		_ = inner.Close()
		return
	}
	_, _ = outer.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
	for _, pair := range [][2]net.Conn{{inner, outer}, {outer, inner}} {
		go func() {
			_, _ = pair[0].(*net.TCPConn).ReadFrom(pair[1])
			_, _ = pair[0].Close(), pair[1].Close()
		}()
	}
}

// answer turns a bucket in the host into one in the path.
func (c *cloud) answer(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.asked = append(c.asked, r.Method+" "+r.Host+r.URL.Path)
	c.mu.Unlock()
	if bucket, _, ok := strings.Cut(r.Host, ".s3."); ok {
		r.URL.Path = "/" + bucket + r.URL.Path
		r.URL.RawPath = ""
	}
	c.ServeHTTP(w, r)
}

func (c *cloud) requests() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asked)
}

// TestAWS shows where requests go without an endpoint, and that contents have
// checksums then.
func TestAWS(t *testing.T) {
	t.Parallel()
	var sums []string
	c := newCloud(t, nil)
	c.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && r.URL.Path != "/memory/" {
			sums = append(sums, r.Header.Get("X-Amz-Checksum-Crc32")+r.Header.Get("X-Amz-Trailer"))
		}
		return false
	}
	put(t, c.in, "a/b", "text")
	put(t, c.in.with(inputs{"region": "eu-central-1"}), "a/b", "text")
	put(t, c.in.with(inputs{"path_style": true}), "a/b", "text")
	put(t, c.in.with(inputs{"path_style": false, "endpoint": "https://s3.us-east-1.amazonaws.com"}), "a/b", "text")
	put(t, c.in.with(inputs{"bucket": "arn:aws:s3:us-east-1:123456789012:accesspoint/point"}), "a/b", "text")
	if diff := cmp.Diff([]string{
		"PUT memory.s3.us-east-1.amazonaws.com/a/b", "PUT memory.s3.eu-central-1.amazonaws.com/a/b", "PUT s3.us-east-1.amazonaws.com/memory/a/b",
		"PUT memory.s3.us-east-1.amazonaws.com/a/b", "PUT point-123456789012.s3-accesspoint.us-east-1.amazonaws.com/a/b",
	}, c.requests()); diff != "" {
		t.Error(diff)
	}
	must(t, driver(), c.in.with(inputs{"command": "create_bucket", "region": "eu-central-1"}))
	if got := string(c.objects["memory/"]); !strings.Contains(got, "<LocationConstraint>eu-central-1</LocationConstraint>") {
		t.Errorf("the bucket is created with %q", got)
	}
	if slices.Contains(sums, "") {
		t.Errorf("checksums: %q", sums)
	}
}

// TestRedirects follows AWS to the region that a bucket is in, by everything that
// tells it, and with every kind of request.
func TestRedirects(t *testing.T) {
	t.Parallel()
	const region = "eu-central-1"
	tell := func(w http.ResponseWriter) { w.Header().Set("X-Amz-Bucket-Region", region) }
	for name, wrong := range map[string]func(w http.ResponseWriter, r *http.Request){
		"301 with the region": func(w http.ResponseWriter, _ *http.Request) {
			tell(w)
			fail(w, http.StatusMovedPermanently, "PermanentRedirect")
		},
		"307 to a place": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "https://s3.eu-central-1.amazonaws.com/x")
			fail(w, http.StatusTemporaryRedirect, "TemporaryRedirect")
		},
		"301 without": func(w http.ResponseWriter, _ *http.Request) {
			fail(w, http.StatusMovedPermanently, "PermanentRedirect")
		},
		"400 that names it": func(w http.ResponseWriter, _ *http.Request) {
			malformed(w, "the region 'us-east-1' is wrong; expecting 'eu-central-1'")
		},
		"400 that does not": func(w http.ResponseWriter, _ *http.Request) { malformed(w, "the region is wrong") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCloud(t, func(w http.ResponseWriter, r *http.Request) bool {
				switch {
				case strings.Contains(r.Header.Get("Authorization"), "/"+region+"/"):
					return false
				case r.Method == http.MethodHead:
					tell(w) // as every answer to HEAD on AWS
					w.WriteHeader(http.StatusMovedPermanently)
				default:
					wrong(w, r)
				}
				return true
			})
			put(t, c.in, "k", "text")
			e := taskstest.NewExecution(t)
			write(t, e, "f", random(t, 1<<20))
			for _, in := range []inputs{
				{"command": "upload", "key": "f", "file": "f"},
				{"command": "metadata", "key": "k"}, {"command": "list"}, {"command": "delete", "keys": []any{"k", "l"}},
			} {
				mustIn(t, e, driver(), c.in.with(in))
			}
			for i, asked := range c.requests() {
				if strings.Contains(asked, "us-east-1") == strings.Contains(asked, "eu-central-1") {
					t.Errorf("request %d went to %s", i, asked)
				}
			}
			url := mustIn(t, e, driver(), c.in.with(inputs{"command": "presign", "key": "k"}))["url"].(string)
			if !strings.HasPrefix(url, "https://memory.s3.eu-central-1.amazonaws.com/k?") {
				t.Error("a URL is signed for another region than the bucket's")
			}
		})
	}
}

func malformed(w http.ResponseWriter, message string) {
	w.WriteHeader(http.StatusBadRequest)
	_, _ = w.Write([]byte(`<?xml version="1.0"?><Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed; ` + message + `</Message></Error>`))
}

// TestBucketOfAnother names the owner that was expected in every request, and says so
// when it is another.
func TestBucketOfAnother(t *testing.T) {
	t.Parallel()
	c := newCloud(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("X-Amz-Expected-Bucket-Owner") == "111122223333" {
			return false
		}
		fail(w, http.StatusForbidden, "AccessDenied")
		return true
	})
	put(t, c.in.with(inputs{"expected_bucket_owner": "111122223333"}), "k", "text")
	for _, command := range []inputs{{"command": "list"}, {"command": "download", "key": "k"}, {"command": "metadata", "key": "k"}, {"command": "upload", "key": "k", "content": "x"},
		{"command": "delete", "key": "k"}, {"command": "copy", "key": "k", "to_key": "l"}, {"command": "versions"}, {"command": "abort_uploads"}} {
		e := failure(t, c.in.with(command).with(inputs{"expected_bucket_owner": "444455556666"}))
		if e.Kind != tasks.Denied || e.Input != "expected_bucket_owner" || !strings.Contains(e.Message, "access is denied") {
			t.Errorf("%v: got %s at %q: %s; %s", command["command"], e.Kind, e.Input, e.Message, e.Hint)
		}
	}
}

// TestSTS asks for a role in the region of the connection.
func TestSTS(t *testing.T) {
	t.Parallel()
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	var token string
	c := newCloud(t, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.Host, "sts.") {
			token = r.Header.Get("X-Amz-Security-Token")
			return false
		}
		_, _ = w.Write([]byte(`<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>role-key-id</AccessKeyId>` +
			`<SecretAccessKey>role-secret</SecretAccessKey><SessionToken>role-token</SessionToken><Expiration>` + until + `</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`))
		return true
	})
	in := c.in.with(inputs{"command": "list", "auth_method": "assume_role", "role_arn": "arn:aws:iam::1:role/open", "region": "eu-west-1"})
	must(t, driver(), in)
	if diff := cmp.Diff([]string{"POST sts.eu-west-1.amazonaws.com/", "GET memory.s3.eu-west-1.amazonaws.com/"}, c.requests()); diff != "" || token != "role-token" {
		t.Errorf("%s\nthe token is %q", diff, token)
	}
}

// TestSessionToken sends the token of a temporary access key.
func TestSessionToken(t *testing.T) {
	t.Parallel()
	var token string
	m := newMemory(t, func(_ http.ResponseWriter, r *http.Request) bool {
		token = r.Header.Get("X-Amz-Security-Token")
		return false
	})
	must(t, driver(), m.at().with(inputs{"command": "list", "session_token": "some-session-token"}))
	if token != "some-session-token" {
		t.Errorf("got %q", token)
	}
}
