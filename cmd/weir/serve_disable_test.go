package main

import (
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/weir-engine/weir/engine/api"
)

// stream opens the stream of events of all executions of the holder of a token.
func (s *apiSite) stream(token string) io.ReadCloser {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.address+"/v1/events", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(r)
	if err != nil || response.StatusCode != http.StatusOK {
		s.t.Fatalf("got %+v, %v", response, err)
	}
	return response.Body
}

// weir runs a command on the store of the server.
func (s *apiSite) weir(args ...string) (out string, err error) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), weirBinary(s.t), args...) //nolint:gosec // they are the test's own
	cmd.Env = []string{"HOME=" + s.t.TempDir(), "WEIR_DATA_DIR=" + s.data, "GORACE=atexit_sleep_ms=0"}
	text, err := cmd.CombinedOutput()
	return string(text), err
}

// TestDisabledUser disables a user, on the server and with a command on its store: the
// tokens stop at once, and streams that are open end; what is at work goes on. When the
// user is enabled again, all is as before.
func TestDisabledUser(t *testing.T) {
	t.Parallel()
	for name, disable := range map[string]func(s *apiSite) (out string, err error){
		"on the server": func(s *apiSite) (string, error) {
			done, err := s.client(s.token).SetUserDisabled(s.t.Context(), "mallory", true)
			return done.Result, err
		},
		"on the store": func(s *apiSite) (string, error) { return s.weir("user", "disable", "mallory") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newAPISite(t)
			c := s.client(s.other)
			if _, err := c.ApplyFlows(t.Context(), []api.FlowText{{Name: "child", Text: `return "done"`}}); err != nil {
				t.Fatal(err)
			}
			text := `ask{ title = "go on?", schema = { yes = "boolean" } } sleep("1s") return flow("child").output`
			started, err := c.Start(t.Context(), api.Start{Text: text})
			if err != nil {
				t.Fatal(err)
			}
			s.await(c, started.ID, func(e api.Execution) bool { return e.Waits != "" })
			if _, err := c.Answer(t.Context(), started.ID, api.Answer{Values: map[string]any{"yes": true}}); err != nil {
				t.Fatal(err)
			}
			events := s.stream(s.other)
			if out, err := disable(s); err != nil {
				t.Fatalf("%s, %v", out, err)
			}
			if got := s.do(http.MethodGet, "/v1/me", s.other, nil); got.status != http.StatusUnauthorized {
				t.Errorf("the token: status %d, %s", got.status, got.body)
			}
			if _, err := io.Copy(io.Discard, events); err != nil { // to its end
				t.Errorf("the stream broke off: %v", err)
			}
			if out, err := s.weir("user", "enable", "mallory"); err != nil {
				t.Fatalf("%s, %v", out, err)
			}
			if e := s.await(c, started.ID, api.Execution.HasEnded); e.Status != "succeeded" {
				t.Errorf("what was at work came to %+v", e)
			}
		})
	}
}

// TestRevokedTokenEndsItsStreams revokes one of two tokens of a user, by the user and on
// the store: the streams of the other stay open.
func TestRevokedTokenEndsItsStreams(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	c := s.client(s.other)
	for name, revoke := range map[string]func(id string) error{
		"on the server": func(id string) error { _, err := c.RevokeToken(t.Context(), "mallory", id); return err },
		"on the store":  func(id string) error { _, err := s.weir("user", "token", "revoke", "mallory", id); return err },
	} {
		made, err := c.CreateToken(t.Context(), "mallory", api.NewToken{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		kept, ended := s.stream(s.other), s.stream(made.Text)
		if err := revoke(made.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, ended); err != nil {
			t.Errorf("%s: the stream broke off: %v", name, err)
		}
		if e := s.run(c, api.Start{Text: `log.info("still here")`}); e.Status != "succeeded" {
			t.Errorf("got %+v", e)
		}
		read := &strings.Builder{}
		for one := make([]byte, 1); !strings.Contains(read.String(), "still here"); {
			if _, err := io.ReadFull(kept, one); err != nil {
				t.Fatalf("%s: the other token's stream ended after %q: %v", name, read, err)
			}
			read.Write(one)
		}
		_ = kept.Close()
	}
}
