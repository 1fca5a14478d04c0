package httpapi_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/httpapi"
)

// slowFlows is a service that is at work until it is let go on.
type slowFlows struct {
	httpapi.Flows
	begun chan struct{}
	goOn  chan struct{}
}

func (s slowFlows) Flow(_ context.Context, name string, _ int) (api.Flow, error) {
	if name == "slow" {
		s.begun <- struct{}{}
		<-s.goOn
	}
	return api.Flow{Name: name}, nil
}

// get makes a request as a user.
func get(t *testing.T, address, path, user string) (status int, failure api.Error, header http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+tokenOf(user))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0, failure, nil
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	if response.StatusCode >= http.StatusBadRequest {
		_ = json.NewDecoder(response.Body).Decode(&failure)
	}
	return response.StatusCode, failure, response.Header
}

// TestOneUserKeepsNobodyOut has ann at work with as many requests as one user may: her
// next one is refused after a while, and bob's are answered.
func TestOneUserKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	const atWork = 32
	slow := slowFlows{begun: make(chan struct{}), goOn: make(chan struct{})}
	_, _, address := startWith(t, &world{}, io.Discard, func(c *httpapi.Config) {
		c.RoomPatience = 500 * time.Millisecond
		c.Services = func(httpapi.Caller) httpapi.Services { return httpapi.Services{Flows: slow} }
	})
	var requests sync.WaitGroup
	for range atWork {
		requests.Go(func() {
			if status, failure, _ := get(t, address, "/v1/flow?name=slow", "ann"); status != http.StatusOK {
				t.Errorf("status %d, %+v", status, failure)
			}
		})
		<-slow.begun
	}
	status, failure, header := get(t, address, "/v1/flow?name=quick", "ann")
	if status != http.StatusTooManyRequests || failure.Code != api.CodeBusy || failure.Hint == "" || header.Get("Retry-After") == "" {
		t.Errorf("one more: status %d, %+v", status, failure)
	}
	if status, failure, _ := get(t, address, "/v1/flow?name=quick", "bob"); status != http.StatusOK {
		t.Errorf("another user: status %d, %+v", status, failure)
	}
	close(slow.goOn)
	requests.Wait()
	if status, failure, _ := get(t, address, "/v1/flow?name=quick", "ann"); status != http.StatusOK {
		t.Errorf("afterwards: status %d, %+v", status, failure)
	}
}

// openStream opens a stream of events and gives its body.
func openStream(t *testing.T, address, user string) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/v1/executions/x/events", nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+tokenOf(user))
	return http.DefaultClient.Do(r)
}

// TestStreamsOfOneUser opens more streams than one user may: the others' are not
// touched, and when one ends, there is room again. Streams are no requests at work.
func TestStreamsOfOneUser(t *testing.T) {
	t.Parallel()
	const most = 40 // more than there may be requests at work
	_, _, address := startWith(t, &world{}, io.Discard, func(c *httpapi.Config) { c.UserStreams = most })
	var last *http.Response
	for range most {
		response, err := openStream(t, address, "ann")
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("got %+v, %v", response, err)
		}
		defer response.Body.Close() //nolint:errcheck // it was only read
		last = response
	}
	status, failure, header := get(t, address, "/v1/executions/x/events", "ann")
	if status != http.StatusTooManyRequests || failure.Code != api.CodeBusy || header.Get("Retry-After") == "" {
		t.Errorf("one more: status %d, %+v", status, failure)
	}
	for _, user := range []string{"ann", "bob"} {
		if status, failure, _ := get(t, address, "/v1/executions/x", user); status != http.StatusOK {
			t.Errorf("a request of %s: status %d, %+v", user, status, failure)
		}
	}
	response, err := openStream(t, address, "bob")
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("another user: got %+v, %v", response, err)
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	_ = last.Body.Close()
	for { // until the server has noticed
		if response, err := openStream(t, address, "ann"); err != nil {
			t.Fatal(err)
		} else if response.Body.Close(); response.StatusCode == http.StatusOK {
			break
		}
	}
}

// TestStreamEndsWithItsToken: a stream ends when its token does not count any more;
// that of another does not. The hub is told of it, or the server finds out.
func TestStreamEndsWithItsToken(t *testing.T) {
	t.Parallel()
	for name, told := range map[string]bool{"told": true, "found out": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{}
			_, hub, address := start(t, w, io.Discard)
			anns, err := openStream(t, address, "ann")
			if err != nil {
				t.Fatal(err)
			}
			defer anns.Body.Close() //nolint:errcheck // it was only read
			bobs, err := openStream(t, address, "bob")
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_, _ = io.Copy(io.Discard, bobs.Body)
			}()
			w.refuse("ann")
			if told {
				hub.TokensChanged()
			}
			if _, err := io.Copy(io.Discard, anns.Body); err != nil {
				t.Errorf("the stream broke off: %v", err)
			}
			select {
			case <-ended:
				t.Error("the stream of another has ended, too")
			default:
			}
			_ = bobs.Body.Close()
			<-ended
		})
	}
}

// TestBodies sends bodies that are none: each is refused in the one shape, and it is
// told where it is wrong.
func TestBodies(t *testing.T) {
	t.Parallel()
	_, _, address := startWith(t, &world{}, io.Discard, func(c *httpapi.Config) { c.BodyPatience = time.Minute })
	const plain = "application/json"
	for name, test := range map[string]struct {
		kind, encoding, body string
		status               int
		where, message       string
	}{
		"a form":           {"application/x-www-form-urlencoded", "", `{}`, 415, "", "application/json"},
		"no type":          {"", "", `{}`, 415, "", "application/json"},
		"compressed":       {plain, "gzip", "\x1f\x8b", 415, "", "Content-Encoding"},
		"not UTF-8":        {plain, "", "{\"a\":\"\xff\"}", 400, "", "UTF-8"},
		"no JSON":          {plain, "", "{\n  \"ä\": x\n}", 400, "body:2:8", "no JSON"},
		"an early end":     {plain, "", `{"a":`, 400, "body:1:5", "too early"},
		"more than one":    {plain, "", `{} {}`, 400, "body:1:4", "no JSON"},
		"nested":           {plain, "", strings.Repeat(`[`, 20_000), 400, "body:1:10001", "too deep"},
		"another charset":  {plain + "; charset=latin1", "", `{"flows":1}`, 422, "body.flows", ""},
		"nothing":          {plain, "", ``, 400, "", "required"},
		"not what it is":   {plain, "", `[]`, 422, "body", ""},
		"keys that double": {plain, "", `{"flows":[{"name":"a","text":""}],"flows":1}`, 422, "body.flows", ""},
		"keys in capitals": {plain, "", `{"FLOWS":[{"name":"a","text":""}]}`, 422, "body", "FLOWS"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, address+"/v1/flows", strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", test.kind)
		if test.encoding != "" {
			r.Header.Set("Content-Encoding", test.encoding)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		var failure api.Error
		if err := json.Unmarshal(text, &failure); err != nil || response.StatusCode != test.status || failure.Code != api.CodeBadRequest ||
			failure.Where != test.where || !strings.Contains(failure.Message, test.message) {
			t.Errorf("%s: status %d, %s, %v", name, response.StatusCode, text, err)
		}
	}
}

// ApplyFlows is at work until it is let go on if a flow is called slow.
func (s slowFlows) ApplyFlows(_ context.Context, texts []api.FlowText) (api.Flows, error) {
	if texts[0].Name == "slow" {
		s.begun <- struct{}{}
		<-s.goOn
	}
	return api.Flows{}, nil
}

// TestHeavyBodies: a body with very many values is worked on alone, and keeps no other
// request waiting that is none.
func TestHeavyBodies(t *testing.T) {
	t.Parallel()
	slow := slowFlows{begun: make(chan struct{}), goOn: make(chan struct{})}
	_, _, address := startWith(t, &world{}, io.Discard, func(c *httpapi.Config) {
		c.RoomPatience, c.BodyPatience = 500*time.Millisecond, time.Minute
		c.Services = func(httpapi.Caller) httpapi.Services { return httpapi.Services{Flows: slow} }
	})
	put := func(user, name string, commas int) int {
		body := `{"flows":[{"name":"` + name + `","text":"` + strings.Repeat(",", commas) + `"}]}`
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, address+"/v1/flows", strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return 0
		}
		r.Header.Set("Authorization", "Bearer "+tokenOf(user))
		r.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			return 0
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	const heavy = 2 << 20
	var first sync.WaitGroup
	first.Go(func() {
		if status := put("ann", "slow", heavy); status != http.StatusOK {
			t.Errorf("the first: status %d", status)
		}
	})
	<-slow.begun
	for name, test := range map[string]struct {
		user   string
		commas int
		want   int
	}{
		"another heavy one": {"ann", heavy, http.StatusTooManyRequests},
		"a light one":       {"ann", 100, http.StatusOK},
		"of another user":   {"bob", heavy, http.StatusOK},
	} {
		if status := put(test.user, "quick", test.commas); status != test.want {
			t.Errorf("%s: status %d, want %d", name, status, test.want)
		}
	}
	close(slow.goOn)
	first.Wait()
}
