package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

// raw sends bytes to the server and gives the connection.
func (s *apiSite) raw(text string) net.Conn {
	s.t.Helper()
	conn, err := new(net.Dialer).DialContext(s.t.Context(), "tcp", strings.TrimPrefix(s.address, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// answers reads the answers on a connection until the server closes it, for a minute at
// most.
func answers(t *testing.T, conn net.Conn) (all []answer) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	for {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return all
		}
		text, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		all = append(all, answer{response.StatusCode, response.Header, string(text)})
	}
}

// slow opens connections of clients that take what they can: headers that do not come
// to their end, bodies that do not, chunks that do not, and streams that nobody reads.
func (s *apiSite) slow(token string, each int) {
	s.t.Helper()
	authorized := " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\n"
	for range each {
		s.raw("GET /v1/me HTTP/1.1\r\nHost: x\r\nX-A: ")
		s.raw("POST /v1/executions" + authorized + "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
		s.raw("POST /v1/executions" + authorized + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
		s.raw("GET /v1/events" + authorized + "\r\n")
		s.raw("GET /v1/events" + authorized + "Last-Event-ID: 0\r\n\r\n")
	}
}

// TestEngineWorksUnderAbuse has one user, and somebody without a token, do to the server
// what they can. Another user's requests are answered meanwhile, and flows end.
func TestEngineWorksUnderAbuse(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	ann := s.client(s.user("ann", engine.RoleUser))
	mallory := s.client(s.other)
	if e := s.run(ann, api.Start{Text: "return 1"}); e.Status != "succeeded" {
		t.Fatalf("got %+v", e)
	}
	// A log that is more than the buffers between her and the server hold, which she will
	// not read.
	loud := `for i = 1, 2000 do log.info(string.rep("x", 2000)) end sleep("2s") for i = 1, 2000 do log.info(string.rep("x", 2000)) end`
	for range 3 {
		if _, err := mallory.Start(t.Context(), api.Start{Text: loud}); err != nil {
			t.Fatal(err)
		}
	}
	s.slow(s.other, 40)
	var abuse sync.WaitGroup
	stop := make(chan struct{})
	for n := range 4 { // tokens are tried
		abuse.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					s.do(http.MethodGet, "/v1/me", fmt.Sprintf("weir_%d-%d", n, i), nil)
				}
			}
		})
	}
	for range 20 {
		if e := s.run(ann, api.Start{Text: `for i = 1, 10 do log.info("line") task("FAKE") end return 1`}); e.Status != "succeeded" {
			t.Errorf("got %+v", e)
		}
	}
	close(stop)
	abuse.Wait()
}

// TestOddRequests speaks HTTP as a browser or a tool would not.
func TestOddRequests(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	authorized := "Host: x\r\nConnection: close\r\nAuthorization: Bearer " + s.token + "\r\n"
	for name, test := range map[string]struct {
		text   string
		status []int
		code   string // of the first, if it is weir that answers
	}{
		"garbage":                  {"\x16\x03\x01\x02\x00\x01\r\n\r\n", []int{400}, ""},
		"garbage after a request":  {"GET /v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + s.token + "\r\n\r\n\x00\x01garbage\r\n\r\n", []int{200, 400}, ""},
		"a header that is large":   {"GET /v1/me HTTP/1.1\r\n" + authorized + "X: " + strings.Repeat("x", 100_000) + "\r\n\r\n", []int{431}, ""},
		"no host":                  {"GET /v1/me HTTP/1.1\r\n\r\n", []int{400}, ""},
		"two lengths":              {"POST /v1/executions HTTP/1.1\r\n" + authorized + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}", []int{400}, ""},
		"HTTP/1.0":                 {"GET /v1/me HTTP/1.0\r\n" + authorized + "\r\n", []int{200}, ""},
		"HTTP/1.0 for nobody":      {"GET /v1/me HTTP/1.0\r\n\r\n", []int{401}, api.CodeUnauthenticated},
		"HTTP/9":                   {"GET /v1/me HTTP/9.0\r\n" + authorized + "\r\n", []int{505}, ""},
		"OPTIONS of all":           {"OPTIONS * HTTP/1.1\r\n" + authorized + "\r\n", []int{404}, api.CodeNoRoute},
		"OPTIONS of all by nobody": {"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []int{401}, api.CodeUnauthenticated},
		"TRACE":                    {"TRACE /v1/me HTTP/1.1\r\n" + authorized + "\r\n", []int{405}, api.CodeMethod},
		"CONNECT":                  {"CONNECT x:80 HTTP/1.1\r\n" + authorized + "\r\n", []int{404}, api.CodeNoRoute},
		"a proxy's request":        {"GET http://other.example/v1/me HTTP/1.1\r\n" + authorized + "\r\n", []int{200}, ""},
		"a path upwards":           {"GET /v1/../../etc/passwd HTTP/1.1\r\n" + authorized + "\r\n", []int{404}, api.CodeNoRoute},
		"an encoded path upwards":  {"GET /v1/connections/%2e%2e%2f%2e%2e HTTP/1.1\r\n" + authorized + "\r\n", []int{404}, api.CodeNoRoute},
		"a slash at the end":       {"GET /v1/connections/ HTTP/1.1\r\n" + authorized + "\r\n", []int{404}, api.CodeNoRoute},
		"two slashes":              {"DELETE /v1//flow?name=x HTTP/1.1\r\n" + authorized + "\r\n", []int{404}, api.CodeNoRoute},
		"a NUL":                    {"GET /v1/connections/a%00b HTTP/1.1\r\n" + authorized + "\r\n", []int{404}, "notfound"},
		"no UTF-8":                 {"GET /v1/connections/%ff%fe HTTP/1.1\r\n" + authorized + "\r\n", []int{404}, "notfound"},
		"a query that is none":     {"GET /v1/executions?limit=%zz HTTP/1.1\r\n" + authorized + "\r\n", []int{200}, ""},
		"a parameter twice":        {"GET /v1/executions?limit=1&limit=x HTTP/1.1\r\n" + authorized + "\r\n", []int{200}, ""},
		"a page of another site":   {"POST /v1/executions HTTP/1.1\r\n" + authorized + "Origin: http://evil.example\r\nContent-Length: 2\r\n\r\n{}", []int{403}, api.CodeForbidden},
		"a page by its name":       {"GET /v1/me HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\nConnection: close\r\n\r\n", []int{401}, api.CodeUnauthenticated},
		"before it sends a page":   {"OPTIONS /v1/executions HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\nConnection: close\r\n\r\n", []int{401}, api.CodeUnauthenticated},
		"continue":                 {"POST /v1/executions HTTP/1.1\r\n" + authorized + "Expect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", []int{100, 400}, ""},
		"a form":                   {"POST /v1/executions HTTP/1.1\r\n" + authorized + "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", []int{415}, api.CodeBadRequest},
	} {
		got := answers(t, s.raw(test.text))
		var status []int
		for _, a := range got {
			status = append(status, a.status)
			for header := range a.header {
				if strings.HasPrefix(header, "Access-Control-") {
					t.Errorf("%s: the answer lets pages of other sites in: %s", name, header)
				}
			}
		}
		if fmt.Sprint(status) != fmt.Sprint(test.status) {
			t.Errorf("%s: status %v, want %v: %+v", name, status, test.status, got)
			continue
		}
		if f := got[0].failure(); f.Code != test.code || test.code != "" && (f.Message == "" || f.RequestID == "") {
			t.Errorf("%s: got %s", name, got[0].body)
		}
	}
	if got := s.raw("HEAD /v1/executions/x/events HTTP/1.1\r\n" + authorized + "\r\n"); len(answers(t, got)) > 1 {
		t.Error("HEAD has a body")
	}
	if got := s.raw("HEAD /v1/events HTTP/1.1\r\n" + authorized + "\r\n"); len(answersOfHead(t, got)) == 0 {
		t.Error("HEAD of a stream has no answer")
	}
}

// answersOfHead reads what comes until the server closes the connection.
func answersOfHead(t *testing.T, conn net.Conn) []byte {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(conn)
	if err != nil {
		t.Errorf("the stream of a HEAD stays open: %v", err)
	}
	return text
}

// TestForwardedIsNotBelieved: what a client says of where it comes from does not count,
// in the audit nor for the throttle.
func TestForwardedIsNotBelieved(t *testing.T) {
	t.Parallel()
	s := newAPISite(t)
	if got := s.do(http.MethodGet, "/v1/me", s.token, nil); got.status != http.StatusOK { // from then on, it is known
		t.Fatalf("status %d: %s", got.status, got.body)
	}
	throttled := false
	for n := range 40 {
		text := fmt.Sprintf("GET /v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: 192.0.2.%d\r\nForwarded: for=192.0.2.%d\r\nX-Real-Ip: 192.0.2.%d\r\n"+
			"Authorization: Bearer weir_%d\r\n\r\n", n, n, n, n)
		for _, a := range answers(t, s.raw(text)) {
			throttled = throttled || a.status == http.StatusTooManyRequests
		}
	}
	if !throttled {
		t.Error("each of 40 wrong tokens was tried")
	}
	audit, err := s.client(s.token).ListAudit(t.Context(), api.AuditFilter{All: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range audit.Events {
		if strings.HasPrefix(e.Remote, "192.0.2.") {
			t.Errorf("the audit has an address that was made up: %+v", e)
		}
	}
}

// TestBoundedListener opens more connections than there may be: the next one is served
// when another is closed.
func TestBoundedListener(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := newBounded(listener, 2)
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			conn, err := b.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	for range 3 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() //nolint:errcheck // it is given up
	}
	first, second := <-accepted, <-accepted
	select {
	case <-accepted:
		t.Error("a third connection was taken")
	default:
	}
	_ = first.Close()
	_ = first.Close() // gives no second place
	third := <-accepted
	_ = second.Close()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	_ = third.Close()
	if _, open := <-accepted; open {
		t.Error("a closed listener takes connections")
	}
}
