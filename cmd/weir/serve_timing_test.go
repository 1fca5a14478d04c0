package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/httpapi"
	"github.com/weir-engine/weir/engine/local"
	"github.com/weir-engine/weir/engine/store"
)

// quietSite is the API of a store in this process, with no engine at work: all that is
// asked of the store is asked for a request.
type quietSite struct {
	t       testing.TB
	server  *httpapi.Server
	store   *store.Store
	asked   *asked
	ended   string // an execution of the first user
	asks    string // another
	tokenID string // a token of the first user
	other   string // the token of mallory
	remotes int
}

// newQuietSite has a daemon make the first user's things, ends it, and takes its store.
func newQuietSite(t testing.TB) *quietSite {
	t.Helper()
	made := newAPISite(t)
	q := &quietSite{t: t, asked: &asked{}, other: made.other}
	q.ended, q.asks = made.furnish()
	made.stop()
	a := &app{wired: &wired{}, process: process{
		in: strings.NewReader(""), out: io.Discard, err: io.Discard, home: func() (string, error) { return made.data, nil },
		getenv: func(key string) string { return map[string]string{"WEIR_DATA_DIR": made.data}[key] }, terminal: func(any) bool { return false },
	}}
	now := time.Now() // it stands still, so that the time of a token's use is written once
	opened, err := store.Open(t.Context(), store.Config{Dir: made.data, Driver: q.asked.watch, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	a.opened, q.store = opened, opened
	t.Cleanup(func() { _ = opened.Close() })
	t.Cleanup(func() { _ = a.close() })
	tokens, err := opened.Users().Tokens(t.Context(), firstUser)
	if err != nil || len(tokens) == 0 {
		t.Fatalf("got %+v, %v", tokens, err)
	}
	q.tokenID = tokens[0].ID
	d := &daemon{app: a, store: opened, log: slog.New(slog.DiscardHandler), hub: httpapi.NewHub(news{opened.Executions()})}
	if d.runner, err = a.engine(t.Context(), local.Config{}); err != nil {
		t.Fatal(err)
	}
	q.server, err = httpapi.New(httpapi.Config{Authenticator: d, Services: d.services, Hooks: d, Explain: explained, Hub: d.hub})
	if err != nil {
		t.Fatal(err)
	}
	q.do(http.MethodGet, "/v1/me", q.other, nil)
	if err := opened.Audit().Record(t.Context(), engine.AuditEvent{What: "after the use of the token"}); err != nil {
		t.Fatal(err)
	}
	return q
}

// do makes a request, from an address that was not there before.
func (q *quietSite) do(method, path, token string, body []byte) *httptest.ResponseRecorder {
	ctx, cancel := context.WithTimeout(q.t.Context(), time.Minute)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, method, path, bytes.NewReader(body))
	q.remotes++
	r.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:1", q.remotes>>16, q.remotes>>8&255, q.remotes&255)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	answer := httptest.NewRecorder()
	q.server.ServeHTTP(answer, r)
	return answer
}

// pair is a request for what is somebody else's, and the same for what is not there.
type pair struct {
	method         string
	theirs, absent string // paths
	token          string
	bodies         [2][]byte
}

// both makes the two requests a pair is made of, a few times.
func (q *quietSite) both(p pair, times int, each func(theirs bool, answer *httptest.ResponseRecorder, asked []string)) {
	for range times {
		for i, path := range []string{p.theirs, p.absent} {
			q.asked.take()
			answer := q.do(p.method, path, p.token, p.bodies[i])
			each(i == 0, answer, q.asked.take())
		}
	}
}

// pairs are all operations of the document that name anything, each for all that it may
// mean.
func (q *quietSite) pairs() []pair {
	q.t.Helper()
	var all []pair
	documented := &apiSite{runningDaemon: &runningDaemon{t: q.t}}
	document := q.do(http.MethodGet, "/openapi.json", "", nil).Body.Bytes()
	for _, o := range documented.operationsOf(document) {
		body, err := json.Marshal(bodies()[o.id])
		if err != nil {
			q.t.Fatal(err)
		}
		if !o.hasBody {
			body = nil
		}
		for _, name := range []string{hisFlow, hisConnection, hisSetting, firstUser + "%2F" + hisConnection} {
			absent := nothing
			if strings.Contains(name, "%2F") {
				absent = firstUser + "%2F" + nothing
			}
			for _, id := range []string{q.ended, q.asks, q.ended[:20], q.ended + ".1"} {
				none := strings.Replace(id, q.ended[:20], "0123456789abbbbbbbbb", 1)
				if id == q.asks {
					none = noID
				}
				p := pair{method: o.method, token: q.other, theirs: o.address(id, name), absent: o.address(none, absent)}
				p.theirs = strings.Replace(p.theirs, "/tokens/none", "/tokens/"+q.tokenID, 1)
				p.bodies[0] = body
				p.bodies[1] = bytes.ReplaceAll(body, []byte(hisFlow), []byte(nothing))
				named := p.theirs != p.absent || !bytes.Equal(p.bodies[0], p.bodies[1])
				known := slices.ContainsFunc(all, func(q pair) bool { return q.method == p.method && q.theirs == p.theirs })
				if named && !known {
					all = append(all, p)
				}
			}
		}
	}
	mine := pair{method: http.MethodDelete, token: q.other, theirs: "/v1/users/mallory/tokens/" + q.tokenID, absent: "/v1/users/mallory/tokens/abcdefghijkl"}
	all = append(all, mine)
	for _, path := range []string{"/v1/shares?connection=", "/v1/connection-export?name=", "/v1/executions?flow=", "/v1/audit?user="} {
		for _, name := range []string{hisFlow, hisConnection, firstUser + "%2F" + hisConnection, firstUser} {
			absent := strings.NewReplacer(hisFlow, nothing, hisConnection, nothing).Replace(name)
			if name == firstUser {
				absent = nothing
			}
			all = append(all, pair{method: http.MethodGet, token: q.other, theirs: path + name, absent: path + absent})
		}
	}
	return all
}

// TestSameWork counts what is asked of the store for what is somebody else's and for
// what is not there: it is the same, statement by statement and row by row, and so what
// is decrypted, for each route of the document.
func TestSameWork(t *testing.T) {
	t.Parallel()
	q := newQuietSite(t)
	pairs := q.pairs()
	if len(pairs) < 60 {
		t.Errorf("there are %d pairs of requests only", len(pairs))
	}
	worked := 0
	for _, p := range pairs {
		q.both(p, 1, func(bool, *httptest.ResponseRecorder, []string) {}) // what is done once only
		var status int
		var work []string
		q.both(p, 1, func(theirs bool, answer *httptest.ResponseRecorder, asked []string) {
			if theirs {
				status, work = answer.Code, asked
				return
			}
			if answer.Code != status {
				t.Errorf("%s %s: status %d, and %d for what is not there", p.method, p.theirs, status, answer.Code)
			}
			if diff := cmp.Diff(asked, work); diff != "" {
				t.Errorf("%s %s: another amount of work (-not there +theirs):\n%s", p.method, p.theirs, diff)
			}
			worked += len(asked)
		})
	}
	if worked < 4*len(pairs) {
		t.Errorf("%d lines of work were compared only, of %d pairs", worked, len(pairs))
	}
}

// refusals are texts of tokens that are refused, by why.
func (q *quietSite) refusals() map[string]string {
	q.t.Helper()
	ctx, users := q.t.Context(), q.store.Users()
	texts := map[string]string{"unknown": "weir_unknown", "empty of letters": "weir_", "no token at all": strings.Repeat("x", 100)}
	for _, name := range []string{"revoked", "disabled"} {
		if _, err := users.Create(ctx, engine.Actor{}, name, engine.RoleUser); err != nil {
			q.t.Fatal(err)
		}
		token, text, err := users.CreateToken(ctx, engine.Actor{}, name, "", time.Time{})
		if err != nil {
			q.t.Fatal(err)
		}
		texts[name] = text
		if name == "revoked" {
			err = users.RevokeToken(ctx, engine.Actor{}, name, token.ID)
		} else {
			err = users.SetDisabled(ctx, engine.Actor{}, name, true)
		}
		if err != nil {
			q.t.Fatal(err)
		}
	}
	return texts
}

// TestSameWorkOfLogins: whatever a token is refused for, as much is read, decrypted and
// written.
func TestSameWorkOfLogins(t *testing.T) {
	t.Parallel()
	q := newQuietSite(t)
	var want []string
	var first answer
	for why, text := range q.refusals() {
		q.do(http.MethodGet, "/v1/me", text, nil)
		q.asked.take()
		got := q.do(http.MethodGet, "/v1/me", text, nil)
		work := q.asked.take()
		body := got.Body.String()[:strings.Index(got.Body.String(), "request_id")]
		if want == nil {
			want, first = work, answer{got.Code, nil, body}
			if rows := slices.Index(want, "a row"); rows < 0 || !slices.Contains(want, "COMMIT") {
				t.Errorf("nothing is read or written for a refusal: %q", want)
			}
		}
		if diff := cmp.Diff(want, work); diff != "" {
			t.Errorf("%s: another amount of work:\n%s", why, diff)
		}
		if got.Code != http.StatusUnauthorized || got.Code != first.status || body != first.body {
			t.Errorf("%s: status %d, %s", why, got.Code, body)
		}
	}
}

// BenchmarkSameTiming shows how long the two requests of a pair take: the medians, and
// where nine in ten end. It is for people to look at.
func BenchmarkSameTiming(b *testing.B) {
	q := newQuietSite(b)
	for _, p := range q.pairs() {
		b.Run(strings.NewReplacer("/", "_", " ", "_").Replace(p.method+p.theirs), func(b *testing.B) {
			took := map[bool][]float64{}
			for range b.N {
				for i, path := range []string{p.theirs, p.absent} {
					began := time.Now()
					q.do(p.method, path, p.token, p.bodies[i])
					took[i == 0] = append(took[i == 0], float64(time.Since(began).Microseconds()))
				}
			}
			for theirs, name := range map[bool]string{true: "theirs", false: "absent"} {
				slices.Sort(took[theirs])
				b.ReportMetric(took[theirs][len(took[theirs])/2], name+"-p50-µs")
				b.ReportMetric(took[theirs][len(took[theirs])*9/10], name+"-p90-µs")
			}
		})
	}
}
