package vaultint

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	vault "github.com/hashicorp/vault/api"

	"github.com/weir-engine/weir/connections/secret"
)

// engine is the kind of a secrets engine, as far as reading goes.
type engine int

const (
	unknownEngine engine = iota
	kv1
	kv2
	otherEngine // makes secrets, such as database; read like kv1
)

// mount is where a secrets engine is.
type mount struct {
	path   string // without slashes at its ends
	engine engine
	given  bool // by the configuration: not found, and not forgotten
}

// holds says whether a path is below the mount.
func (m mount) holds(path string) bool { return strings.HasPrefix(path, m.path+"/") }

// name is what a reference's secret is called in a mount of KV version 2.
func (m mount) name(ref secret.Ref) string {
	name := strings.TrimPrefix(fullPath(ref), m.path+"/")
	if ref.Mount == "" {
		name = strings.TrimPrefix(name, "data/")
	}
	return name
}

// fullPath is the path that a reference names, the mount given apart put before it.
func fullPath(ref secret.Ref) string {
	path := strings.Trim(strings.TrimSpace(ref.Path), "/")
	if at := strings.Trim(ref.Mount, "/"); at != "" {
		path = at + "/" + path
	}
	return path
}

// knownMount gives the longest mount that is known for a reference.
func (c *Client) knownMount(ref secret.Ref) (mount, bool) {
	path, apart := fullPath(ref), strings.Trim(ref.Mount, "/")
	fits := func(m mount) bool { return m.holds(path) && (apart == "" || m.path == apart) }
	best, found := mount{}, false
	consider := func(m mount) {
		if fits(m) && (!found || len(m.path) > len(best.path)) {
			best, found = m, true
		}
	}
	for at, version := range c.config.Mounts {
		consider(mount{path: at, engine: map[int]engine{1: kv1, 2: kv2}[version], given: true})
	}
	if found {
		return best, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.mounts {
		consider(m)
	}
	return best, found
}

func (c *Client) remember(m mount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mounts[m.path] = m
}

func (c *Client) forget(m mount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mounts[m.path] == m {
		delete(c.mounts, m.path)
	}
}

// detect asks Vault for the mount of a reference; one reader asks, the others see
// what it found. The engine is unknown if Vault does not tell.
func (c *Client) detect(ctx context.Context, s *session, ref secret.Ref) (mount, error) {
	select {
	case c.detecting <- struct{}{}:
		defer func() { <-c.detecting }()
	case <-ctx.Done():
		return mount{}, c.explain(ctx.Err())
	}
	if m, ok := c.knownMount(ref); ok {
		return m, nil
	}
	answer, err := get(ctx, s.api, "sys/internal/ui/mounts/"+fullPath(ref), nil)
	var refused *vault.ResponseError
	if errors.As(err, &refused) && refused.StatusCode == http.StatusForbidden && saysBadToken(refused.Errors) {
		return mount{}, c.explain(err)
	}
	if errors.As(err, &refused) && refused.StatusCode < http.StatusInternalServerError && refused.StatusCode != http.StatusTooManyRequests {
		return mount{}, nil
	}
	if err != nil {
		return mount{}, c.explain(err)
	}
	m := mountFrom(answer)
	apart := strings.Trim(ref.Mount, "/")
	if !m.holds(fullPath(ref)) || apart != "" && m.path != apart {
		return mount{}, nil
	}
	c.remember(m)
	return m, nil
}

func mountFrom(answer *vault.Secret) mount {
	path, _ := answer.Data["path"].(string)
	kind, _ := answer.Data["type"].(string)
	options, _ := answer.Data["options"].(map[string]any)
	m := mount{path: strings.Trim(path, "/"), engine: otherEngine}
	switch {
	case path == "" || kind == "":
		return mount{}
	case kind == "kv" && options["version"] == "2":
		m.engine = kv2
	case kind == "kv" || kind == "generic":
		m.engine = kv1
	}
	return m
}

// guess is a form that a path could have.
type guess struct {
	engine engine // kv2 or kv1
	at     string // the mount, of kv2
	name   string // below the mount's data/ for kv2, the whole path for kv1
}

// guesses gives the forms that a reference could have where Vault does not tell of
// which kind its mount is, the likeliest first.
func guesses(ref secret.Ref) []guess {
	path := fullPath(ref)
	plain := guess{engine: kv1, name: path}
	if apart := strings.Trim(ref.Mount, "/"); apart != "" {
		return []guess{{kv2, apart, strings.TrimPrefix(path, apart+"/")}, plain}
	}
	var forms []guess
	segments := strings.Split(path, "/")
	split := func(mount, name int) guess {
		return guess{kv2, strings.Join(segments[:mount], "/"), strings.Join(segments[name:], "/")}
	}
	last := len(segments) - 1
	if i := slices.Index(segments, "data"); i > 0 && i < last {
		forms = append(forms, split(i, i+1))
	}
	for i := 1; i <= min(last, 3); i++ {
		if segments[i] != "data" || i == last {
			forms = append(forms, split(i, i))
		}
	}
	return append(forms, plain)
}

// showsOwnToken is about paths that give the token by which they are read; a
// namespace may be before them.
func showsOwnToken(path string) bool {
	return strings.HasSuffix(path, "/auth/token/lookup-self") || strings.HasSuffix(path, "/auth/token/lookup")
}

// checkRef refuses references that cannot name a secret.
func checkRef(ref secret.Ref) error {
	invalid := func(detail, hint string) error {
		return &secret.ReadError{Ref: ref, Reason: secret.Invalid, Detail: detail, Hint: hint}
	}
	if ref.Version < 0 {
		return invalid("version "+strconv.Itoa(ref.Version)+" is negative", "")
	}
	path := fullPath(ref)
	segments := strings.Split(path, "/")
	if len(segments) < 2 || strings.Trim(ref.Path, "/ ") == "" {
		return invalid("the path names no secret", "a path is mount and name, such as secret/oracle")
	}
	for _, segment := range segments {
		switch {
		case segment == "" || segment == "." || segment == "..":
			return invalid("the path has an empty, \".\" or \"..\" segment", "")
		case strings.ContainsFunc(segment, func(r rune) bool { return r < ' ' || r == 0x7f }):
			return invalid("the path holds a control character", "")
		}
	}
	if segments[0] == "sys" || segments[0] == "auth" || showsOwnToken(path) {
		return invalid("paths below sys/ and auth/ hold no secrets for tasks", "")
	}
	return nil
}
