package vaultint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/weir-engine/weir/connections/secret"
)

// get reads a path. An answer that says "not here" but tells why, as Vault does for
// deleted versions, is no error.
func get(ctx context.Context, api *vault.Client, path string, query map[string][]string) (*vault.Secret, error) {
	response, err := api.Logical().ReadRawWithDataWithContext(ctx, path, query)
	if response != nil {
		defer func() { _ = response.Body.Close() }()
	}
	var refused *vault.ResponseError
	if err != nil && (!errors.As(err, &refused) || refused.StatusCode != 404 || refused.RawError) {
		return nil, err
	}
	answer, parseErr := vault.ParseSecret(response.Body)
	switch {
	case parseErr != nil && timedOut(parseErr):
		return nil, parseErr
	case parseErr != nil:
		return nil, errNotVault // its text may repeat the answer
	case answer != nil && len(answer.Data) > 0:
		return answer, nil
	case err != nil:
		return nil, err
	case answer == nil:
		return nil, errNotVault
	}
	return answer, nil
}

// reading is a secret that was read.
type reading struct {
	secret.Data
	// made says that Vault made the secret for this read: it is for one reader, and
	// not kept.
	made bool
}

var errNotVersioned = errors.New("not of KV version 2")

// read reads a secret with one session. Its errors are *secret.ReadError.
func (c *Client) read(ctx context.Context, s *session, ref secret.Ref) (reading, error) {
	if m, ok := c.knownMount(ref); ok {
		data, err := c.readMount(ctx, s, ref, m)
		if m.given || errors.Is(err, errBadToken) || !hasReason(err, secret.NotFound) && !hasReason(err, secret.Denied) {
			return data, err
		}
		c.forget(m) // another mount may have taken its place
	}
	m, err := c.detect(ctx, s, ref)
	switch {
	case err != nil:
		return reading{}, err
	case m.engine != unknownEngine:
		return c.readMount(ctx, s, ref, m)
	}
	return c.readGuessing(ctx, s, ref)
}

// readMount reads a secret whose mount is known.
func (c *Client) readMount(ctx context.Context, s *session, ref secret.Ref, m mount) (reading, error) {
	if m.engine != kv2 {
		path := fullPath(ref)
		data, err := c.readPlain(ctx, s, ref, path)
		data.made = data.made || m.engine == otherEngine
		if hasReason(err, secret.NotFound) && strings.HasPrefix(path, m.path+"/data/") {
			return data, withHint(err, "this mount is of KV version 1, whose paths have no \"data\" segment")
		}
		return data, err
	}
	return c.readVersioned(ctx, s, ref, m.path, m.name(ref))
}

// readGuessing reads a secret whose mount Vault does not tell: see the package
// comment. A form that may be read but is not there decides over forms that may
// not be read.
func (c *Client) readGuessing(ctx context.Context, s *session, ref secret.Ref) (reading, error) {
	var denied, missing error
	plain := ref.Version == 0 // whether a form without versions is worth trying
	for _, g := range guesses(ref) {
		var data reading
		var err error
		switch {
		case g.engine == kv2:
			data, err = c.readVersioned(ctx, s, ref, g.at, g.name)
		case plain:
			data, err = c.readPlain(ctx, s, ref, g.name)
		default:
			continue
		}
		switch {
		case errors.Is(err, errNotVersioned):
			plain = true
		case errors.Is(err, errBadToken):
			return reading{}, err
		case hasReason(err, secret.Denied):
			denied = errors.Join(denied, err)
		case hasReason(err, secret.NotFound):
			missing = errors.Join(missing, err)
		case err == nil || hasReason(err, secret.Deleted) || hasReason(err, secret.Destroyed):
			if g.engine == kv2 {
				c.remember(mount{path: g.at, engine: kv2})
			}
			return data, err
		default:
			return reading{}, err
		}
	}
	return reading{}, first(missing, denied)
}

// first gives the first of joined errors, of the first join that has any.
func first(joins ...error) error {
	for _, join := range joins {
		var e *secret.ReadError
		if errors.As(join, &e) {
			return e
		}
	}
	return nil
}

// readPlain reads a path as it is: KV version 1, and engines that make secrets.
func (c *Client) readPlain(ctx context.Context, s *session, ref secret.Ref, path string) (reading, error) {
	if ref.Version != 0 {
		return reading{}, &secret.ReadError{
			Ref:    ref,
			Reason: secret.Invalid,
			Detail: "this mount keeps no versions, so that none can be pinned",
			Hint:   "leave out the version, or move the secret to a KV version 2 mount",
		}
	}
	answer, err := get(ctx, s.api, path, nil)
	if err != nil {
		return reading{}, c.explainRead(ref, path, err)
	}
	keys, _ := protect(answer.Data).(map[string]any)
	return reading{Data: secret.Data{Ref: ref, Keys: keys}, made: answer.LeaseID != ""}, nil
}

// readVersioned reads a secret of a KV version 2 mount.
func (c *Client) readVersioned(ctx context.Context, s *session, ref secret.Ref, at, name string) (reading, error) {
	path := at + "/data/" + name
	answer, err := get(ctx, s.api, path, versionQuery(ref.Version))
	if err != nil {
		failure := c.explainRead(ref, path, err)
		if ref.Version != 0 && failure.Reason == secret.NotFound {
			c.explainVersion(ctx, s, path, failure)
		}
		return reading{}, failure
	}
	details := detailsOf(answer)
	keys, present := answer.Data["data"].(map[string]any)
	if details.version == 0 || !present && !details.gone() {
		return reading{}, &secret.ReadError{
			Ref:    ref,
			Reason: secret.Invalid,
			Detail: "the answer is not that of a KV version 2 mount",
			Hint:   "is " + at + " of KV version 1?",
			Err:    errNotVersioned,
		}
	}
	ref.Version = details.version
	if !present {
		return reading{}, details.explain(ref, at, name)
	}
	data := secret.Data{Ref: ref, Created: details.created, Metadata: details.custom}
	data.Keys, _ = protect(keys).(map[string]any)
	return reading{Data: data}, nil
}

func versionQuery(version int) map[string][]string {
	if version == 0 {
		return nil
	}
	return map[string][]string{"version": {strconv.Itoa(version)}}
}

// explainVersion tells a version that does not exist from a secret that does not.
func (c *Client) explainVersion(ctx context.Context, s *session, path string, failure *secret.ReadError) {
	answer, err := get(ctx, s.api, path, nil)
	if err != nil {
		return
	}
	if newest := detailsOf(answer).version; newest != 0 {
		failure.Detail = fmt.Sprintf("version %d does not exist; the newest is %d", failure.Ref.Version, newest)
		failure.Hint = "pin a version that exists; a mount keeps only so many of them (max_versions)"
	}
}

// explainRead is explain for a read of a path, with the remedy.
func (c *Client) explainRead(ref secret.Ref, path string, err error) *secret.ReadError {
	e := c.explain(err)
	own := *e
	own.Ref = ref
	switch own.Reason {
	case secret.NotFound:
		own.Detail = "vault has no secret at " + path
		own.Hint = "check mount, name and namespace; upper and lower case differ"
	case secret.Denied:
		own.Hint = "one of its policies must have: " + policyFor(path)
		if c.config.Namespace != "" {
			own.Hint += " in namespace " + c.config.Namespace
		}
	}
	return &own
}

// policyFor is the line of a policy that allows a path to be read.
func policyFor(path string) string { return fmt.Sprintf("path %q { capabilities = [\"read\"] }", path) }

func withHint(err error, hint string) error {
	var e *secret.ReadError
	if errors.As(err, &e) {
		own := *e
		own.Hint = hint
		return &own
	}
	return err
}

// details is what a KV version 2 mount says about a version.
type details struct {
	version          int // 0: the answer is not that of such a mount
	created, deleted time.Time
	destroyed        bool
	custom           map[string]string
}

// gone says whether this version's data is no more. A time of deletion alone does
// not say so: it may lie ahead.
func (d details) gone() bool { return d.destroyed || !d.deleted.IsZero() }

func detailsOf(answer *vault.Secret) details {
	metadata, _ := answer.Data["metadata"].(map[string]any)
	number, _ := metadata["version"].(json.Number)
	version, err := strconv.Atoi(number.String())
	if err != nil {
		return details{}
	}
	d := details{version: version, created: moment(metadata["created_time"]), deleted: moment(metadata["deletion_time"])}
	d.destroyed, _ = metadata["destroyed"].(bool)
	if custom, ok := metadata["custom_metadata"].(map[string]any); ok {
		d.custom = make(map[string]string, len(custom))
		for key, value := range custom {
			d.custom[key], _ = value.(string)
		}
	}
	return d
}

// explain says why a version has no data.
func (d details) explain(ref secret.Ref, at, name string) error {
	if d.destroyed {
		return &secret.ReadError{
			Ref:    ref,
			Reason: secret.Destroyed,
			Detail: fmt.Sprintf("version %d was destroyed", d.version),
			Hint:   "it cannot be had back: write a new version, or pin another one",
		}
	}
	return &secret.ReadError{
		Ref:    ref,
		Reason: secret.Deleted,
		Detail: fmt.Sprintf("version %d was deleted at %s", d.version, d.deleted.UTC().Format(time.RFC3339)),
		Hint:   fmt.Sprintf("have it back with: vault kv undelete -mount=%s -versions=%d %s", at, d.version, name),
	}
}

func moment(v any) time.Time {
	text, _ := v.(string)
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}
	}
	return t
}

// protect makes every leaf of a JSON tree a secret, its type kept.
func protect(node any) any {
	switch node := node.(type) {
	case map[string]any:
		tree := make(map[string]any, len(node))
		for key, child := range node {
			tree[key] = protect(child)
		}
		return tree
	case []any:
		list := make([]any, len(node))
		for i, child := range node {
			list[i] = protect(child)
		}
		return list
	default:
		return secret.Of(node)
	}
}
