package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client calls the API of a server. It is safe for concurrent use.
type Client struct {
	base  string
	token *string // a pointer, so that no way of printing shows it
	http  *http.Client
}

// NewClient makes a client for a server, such as http://127.0.0.1:8390. A token goes
// to nobody else: redirects are not followed.
func NewClient(address, token string) (*Client, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, errors.New("the address of a server is like http://127.0.0.1:8390")
	}
	if base.User != nil || base.RawQuery != "" {
		return nil, errors.New("the address of a server has no user, password or query; the token is given apart")
	}
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		transport = &http.Transport{}
	}
	return &Client{
		base: strings.TrimRight(base.String(), "/"), token: &token,
		http: &http.Client{
			Transport:     transport.Clone(),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Close ends connections that are kept for later.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// request is a call of the API.
type request struct {
	method, path string
	query        url.Values
	header       map[string]string
	body         any
}

// attempts is how often a call is made that may be made again, and patience how long
// the client waits between: about eight seconds in all, for a server that is being
// restarted.
const (
	attempts = 6
	patience = 250 * time.Millisecond
)

// call makes a call and reads its answer into out. What only reads, or has an
// idempotency key, is tried again while the server cannot be reached or is stopping; all
// is while the server has no room for it, and has done nothing.
func (c *Client) call(ctx context.Context, r request, out any) error {
	repeatable := r.method == http.MethodGet || r.header["Idempotency-Key"] != ""
	for try, wait := 1, patience; ; try, wait = try+1, 2*wait {
		err := c.once(ctx, r, out)
		var failure *Error
		if err == nil || try == attempts || !errors.As(err, &failure) || failure.Kind != "unavailable" || failure.Code == CodeThrottled ||
			!repeatable && failure.Code != CodeBusy {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

func (c *Client) once(ctx context.Context, r request, out any) error {
	response, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	decoder := json.NewDecoder(response.Body)
	decoder.UseNumber()
	if err := decoder.Decode(out); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &Error{Code: "unavailable", Kind: "unavailable", Message: fmt.Sprintf("the answer of %s broke off: %v", c.base, err)}
	}
	return nil
}

// send sends a request and gives the answer if it is one of success.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	var text io.Reader
	if r.body != nil {
		encoded, err := json.Marshal(r.body)
		if err != nil {
			return nil, &Error{Code: "invalid", Kind: "invalid", Message: fmt.Sprintf("this cannot be sent: %v", err)}
		}
		text = bytes.NewReader(encoded)
	}
	address := c.base + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, text)
	if err != nil {
		return nil, &Error{Code: "invalid", Kind: "invalid", Message: err.Error()}
	}
	req.Header.Set("Authorization", "Bearer "+*c.token)
	req.Header.Set("Accept", "application/json")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	return c.answer(req)
}

// answer makes a request and gives the answer if it is one of success.
func (c *Client) answer(req *http.Request) (*http.Response, error) {
	response, err := c.http.Do(req)
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	if err != nil {
		var at *url.Error
		if errors.As(err, &at) {
			err = at.Err
		}
		return nil, &Error{
			Code: "unavailable", Kind: "unavailable", Message: fmt.Sprintf("reach %s: %v", c.base, err),
			Hint: "WEIR_ADDR says where the server is; start one with: weir serve",
		}
	}
	if response.StatusCode/100 == 2 {
		return response, nil
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	return nil, c.failure(response)
}

// failure reads the error of an answer.
func (c *Client) failure(response *http.Response) error {
	const most = 1 << 20
	failure := &Error{}
	err := json.NewDecoder(io.LimitReader(response.Body, most)).Decode(failure)
	if err != nil || failure.Kind == "" {
		failure = &Error{
			Code: "permanent", Kind: "permanent", Message: fmt.Sprintf("%s answers with status %d, and not as weir does", c.base, response.StatusCode),
			Hint: "check WEIR_ADDR",
		}
		if response.StatusCode >= http.StatusInternalServerError {
			failure.Code, failure.Kind = "unavailable", "unavailable"
		}
	}
	failure.Status = response.StatusCode
	if failure.Code == CodeUnauthenticated {
		failure.Hint = "set WEIR_TOKEN to a token of yours"
	}
	return failure
}
