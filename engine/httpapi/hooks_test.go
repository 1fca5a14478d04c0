package httpapi_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/httpapi"
)

// hooksOf are webhooks whose flows do not end, of which each call has the key "right".
type hooksOf struct{ waits chan struct{} }

func (h hooksOf) Admit(_ context.Context, call httpapi.HookCall) (engine.Webhook, error) {
	if call.Proof.Key != "right" {
		return engine.Webhook{}, &engine.Error{Kind: engine.Denied, Message: "no"}
	}
	return engine.Webhook{Name: call.Name, Mode: engine.WebhookSync, Timeout: time.Minute}, nil
}

func (h hooksOf) Begin(context.Context, engine.Webhook, httpapi.HookCall) (api.Delivery, error) {
	return api.Delivery{Execution: "e1"}, nil
}

func (h hooksOf) Outcome(ctx context.Context, _ string) (any, error) {
	h.waits <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestWebhooksWhileItEnds: who waits for a flow when the server is to end is told that it
// is under way, and a new call that it should come again.
func TestWebhooksWhileItEnds(t *testing.T) {
	t.Parallel()
	w, hooks := &world{}, hooksOf{make(chan struct{}, 1)}
	server, err := httpapi.New(httpapi.Config{
		Authenticator: w, Explain: explain, Hub: httpapi.NewHub(w), Hooks: hooks,
		Services: func(httpapi.Caller) httpapi.Services { return httpapi.Services{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(ctx, listener, time.Minute); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	var caller sync.WaitGroup
	caller.Go(func() {
		status, _, body := callKeyed(t, "http://"+listener.Addr().String())
		if status != http.StatusAccepted || !strings.Contains(body, `"execution":"e1"`) {
			t.Errorf("who waited: status %d, %s", status, body)
		}
	})
	<-hooks.waits
	stop()
	caller.Wait()
	serving.Wait()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/hooks/ann/x", nil)
	r.Header.Set("X-Webhook-Key", "right")
	late := httptest.NewRecorder()
	server.ServeHTTP(late, r)
	if late.Code != http.StatusServiceUnavailable || late.Header().Get("Retry-After") == "" || !strings.Contains(late.Body.String(), api.CodeStopping) {
		t.Errorf("a late call: status %d, %v, %s", late.Code, late.Header(), late.Body)
	}
}

func callKeyed(t *testing.T, address string) (status int, header http.Header, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+"/v1/hooks/ann/x", strings.NewReader("x"))
	if err != nil {
		t.Error(err)
		return 0, nil, ""
	}
	r.Header.Set("X-Webhook-Key", "right")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0, nil, ""
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode, response.Header, string(text)
}

// TestUnprovenBodies: what is held of bodies before anybody knows who sent them is
// bounded; there is room again when they are gone.
func TestUnprovenBodies(t *testing.T) {
	t.Parallel()
	server, _, address := startWith(t, &world{}, io.Discard, func(c *httpapi.Config) {
		c.Hooks, c.BodyPatience = hooksOf{}, time.Minute
	})
	const size, senders, refused = 3 << 20, 40, 20
	var open []net.Conn
	part := strings.Repeat("x", size)
	ended := make(chan struct{}, senders)
	for range senders {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(address, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() //nolint:errcheck // it is given up
		open = append(open, conn)
		go func() {
			_, err := io.WriteString(conn, "POST /v1/hooks/ann/x HTTP/1.1\r\nHost: x\r\nX-Webhook-Key: wrong\r\nContent-Length: 4000000\r\n\r\n"+part)
			if err == nil {
				_, _ = conn.Read(make([]byte, 1)) // who has room is not answered: there is more to come
			}
			ended <- struct{}{}
		}()
	}
	for range refused {
		<-ended
	}
	for _, conn := range open {
		_ = conn.Close()
	}
	// As long as the server has not seen that they are gone, there may be no room.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); ; <-tick.C {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/hooks/ann/x", strings.NewReader(part))
		r.Header.Set("X-Webhook-Key", "wrong")
		got := httptest.NewRecorder()
		server.ServeHTTP(got, r)
		if got.Code == http.StatusUnauthorized {
			return
		}
		if time.Since(start) > time.Minute || got.Code != http.StatusServiceUnavailable {
			t.Fatalf("there is no room any more: status %d, %s", got.Code, got.Body)
		}
	}
}

// FuzzWebhookHeaders calls with headers of all sorts: whatever they are, the call is
// answered, and not let in.
func FuzzWebhookHeaders(f *testing.F) {
	f.Add("v1,bm9uZQ== v1a,x", "1614265330", "msg_1", "sha256=00", "Bearer x")
	f.Add("v1,", "-1", "", "sha256=", "bearer  ")
	f.Add("", "99999999999999999999", "m", "md5=00", "Basic eDp5")
	w := &world{}
	server, err := httpapi.New(httpapi.Config{
		Authenticator: w, Explain: explain, Hub: httpapi.NewHub(w), Hooks: hooksOf{},
		Services: func(httpapi.Caller) httpapi.Services { return httpapi.Services{} },
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, signature, at, id, github, authorization string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/hooks/ann/x", strings.NewReader("x"))
		for name, value := range map[string]string{
			"Webhook-Signature": signature, "Webhook-Timestamp": at, "Webhook-Id": id, "X-Hub-Signature-256": github, "X-Github-Delivery": id,
			"Authorization": authorization, "Idempotency-Key": id,
		} {
			r.Header.Set(name, value)
		}
		got := httptest.NewRecorder()
		server.ServeHTTP(got, r)
		switch got.Code {
		case http.StatusUnauthorized, http.StatusTooManyRequests:
		case http.StatusBadRequest: // an id that is too long
			if len(id) <= 256 {
				t.Errorf("status %d: %s", got.Code, got.Body)
			}
		default:
			if authorization != "Bearer right" {
				t.Errorf("status %d: %s", got.Code, got.Body)
			}
		}
	})
}
