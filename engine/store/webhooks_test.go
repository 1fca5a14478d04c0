package store_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/store"
)

// hookStore is a store with the users root, whose owner is "", and ann.
func hookStore(t *testing.T, dir string) *store.Store {
	t.Helper()
	s := open(t, dir)
	for name, role := range map[string]engine.Role{"root": engine.RoleAdmin, "ann": engine.RoleUser} {
		if _, err := s.Users().Create(t.Context(), engine.Actor{}, name, role); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// called looks up what is called.
func called(t *testing.T, hooks *store.Webhooks, user, name string) (engine.Webhook, store.WebhookSecret, bool) {
	t.Helper()
	u, hook, secret, known, err := hooks.Called(t.Context(), user, name)
	if err != nil || known && u.Name != user {
		t.Fatalf("%s/%s: got user %+v, %v", user, name, u, err)
	}
	return hook, secret, known
}

// takesKey looks whether a webhook of ann's takes its key.
func takesKey(t *testing.T, hooks *store.Webhooks, name, key string) {
	t.Helper()
	if _, secret, _ := called(t, hooks, "ann", name); !secret.Proves(keyProof(key)) {
		t.Errorf("webhook %s does not take its key", name)
	}
}

func keyProof(key string) engine.WebhookProof {
	return engine.WebhookProof{Auth: engine.WebhookKey, Key: key}
}

func signature(auth engine.WebhookAuth, key []byte, parts ...string) engine.WebhookProof {
	proof := engine.WebhookProof{Auth: auth}
	for _, part := range parts {
		proof.Message = append(proof.Message, []byte(part))
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(bytes.Join(proof.Message, nil))
	proof.Sums = [][]byte{nil, mac.Sum(nil)}
	return proof
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hooks := hookStore(t, dir).Webhooks()
	keyed := engine.Webhook{
		Owner: "ann", Name: "push", Flow: "deploy", Mode: engine.WebhookSync, Auth: engine.WebhookKey, MaxBody: 1 << 10, PerMinute: 6,
		Timeout: time.Second, ReplayWindow: time.Minute, Enabled: true,
	}
	key, err := hooks.Create(t.Context(), engine.Actor{}, keyed, "")
	if err != nil || len(key) != 43 {
		t.Fatalf("the key has %d characters, %v", len(key), err)
	}
	_, err = hooks.Create(t.Context(), engine.Actor{}, keyed, "")
	wantFailure(t, err, engine.Conflict, `there is a webhook "push" already`, "")
	got, secret, known := called(t, open(t, dir).Webhooks(), "ann", "push")
	if diff := cmp.Diff(keyed, got, cmpopts.IgnoreFields(engine.Webhook{}, "Changed")); !known || diff != "" {
		t.Errorf("read again (-want +got):\n%s", diff)
	}
	if !secret.Proves(keyProof(key)) || secret.Proves(keyProof(key+"x")) || secret.Proves(keyProof("")) || secret.Proves(signature(engine.WebhookHMAC, []byte(key), "x")) {
		t.Error("another key than its own is taken, or not its own")
	}
	keyed.Flow, keyed.Auth, keyed.Enabled = "other", engine.WebhookHMAC, false
	if err := hooks.Update(t.Context(), keyed); err != nil {
		t.Fatal(err)
	}
	if got, secret, _ = called(t, hooks, "ann", "push"); got.Flow != "other" || got.Enabled || got.Auth != engine.WebhookKey || !secret.Proves(keyProof(key)) {
		t.Errorf("after an update it is %+v", got)
	}
}

func TestWebhooksAreRotatedAndDeleted(t *testing.T) {
	t.Parallel()
	hooks := hookStore(t, t.TempDir()).Webhooks()
	key, err := hooks.Create(t.Context(), engine.Actor{}, engine.Webhook{Owner: "ann", Name: "push", Flow: "deploy", Auth: engine.WebhookKey, Enabled: true}, "")
	if err != nil {
		t.Fatal(err)
	}
	next, err := hooks.Rotate(t.Context(), engine.Actor{}, "ann", "push", "")
	if got, secret, _ := called(t, hooks, "ann", "push"); err != nil || got.Flow != "deploy" || secret.Proves(keyProof(key)) || !secret.Proves(keyProof(next)) {
		t.Errorf("after its key was rotated it is %+v, %v", got, err)
	}
	if err := hooks.Delete(t.Context(), engine.Actor{}, "ann", "push"); err != nil {
		t.Fatal(err)
	}
	if _, secret, known := called(t, hooks, "ann", "push"); known || secret.Proves(keyProof(next)) {
		t.Error("it is there after it was deleted")
	}
}

// TestWebhookSecrets signs with secrets of all sorts.
func TestWebhookSecrets(t *testing.T) {
	t.Parallel()
	hooks := hookStore(t, t.TempDir()).Webhooks()
	raw := []byte("a key of more than sixteen bytes")
	standard := "whsec_" + base64.StdEncoding.EncodeToString(raw)
	for name, c := range map[string]struct {
		auth   engine.WebhookAuth
		secret string
		key    []byte
	}{
		"standard":      {engine.WebhookHMAC, standard, raw},
		"bare":          {engine.WebhookHMAC, base64.StdEncoding.EncodeToString(raw), raw},
		"github":        {engine.WebhookGitHub, string(raw), raw},
		"github-whsec_": {engine.WebhookGitHub, standard, []byte(standard)},
	} {
		hook := engine.Webhook{Owner: "ann", Name: name, Flow: "x", Auth: c.auth, Enabled: true}
		if text, err := hooks.Create(t.Context(), engine.Actor{}, hook, c.secret); err != nil || text != c.secret {
			t.Fatalf("%s: the secret is %q, %v", name, text, err)
		}
		_, secret, _ := called(t, hooks, "ann", name)
		if !secret.Proves(signature(c.auth, c.key, "a", "b")) || secret.Proves(signature(c.auth, raw[1:], "a", "b")) || secret.Proves(keyProof(c.secret)) {
			t.Errorf("%s: another signature than its own is taken, or not its own", name)
		}
		for _, other := range []engine.WebhookAuth{engine.WebhookHMAC, engine.WebhookGitHub} {
			if other != c.auth && secret.Proves(signature(other, c.key, "a", "b")) {
				t.Errorf("%s: what is signed in another way is taken", name)
			}
		}
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(format, secret); strings.Contains(text, "sixteen") || strings.Contains(text, "97, 32") {
				t.Errorf("%s prints %s", format, text)
			}
		}
	}
	made, err := hooks.Create(t.Context(), engine.Actor{}, engine.Webhook{Owner: "ann", Name: "made", Auth: engine.WebhookHMAC}, "")
	if key, decodeErr := base64.StdEncoding.DecodeString(strings.TrimPrefix(made, "whsec_")); err != nil || decodeErr != nil || len(key) != 32 {
		t.Errorf("a secret that was made: %q, %v", made, err)
	}
	for message, c := range map[string]struct {
		auth   engine.WebhookAuth
		secret string
	}{
		"at least 16 bytes":   {engine.WebhookKey, "too short"},
		"no base64":           {engine.WebhookHMAC, "a secret of more than sixteen bytes"},
		"show a key, or sign": {"", ""},
	} {
		_, err := hooks.Create(t.Context(), engine.Actor{}, engine.Webhook{Owner: "ann", Name: "x", Auth: c.auth}, c.secret)
		wantFailure(t, err, engine.Invalid, message, "")
	}
}

// TestPublishedSignatures takes the examples that the specifications of signatures give.
func TestPublishedSignatures(t *testing.T) {
	t.Parallel()
	hooks := hookStore(t, t.TempDir()).Webhooks()
	for name, c := range map[string]struct {
		auth    engine.WebhookAuth
		secret  string
		message []string
		sum     string
	}{
		// The reference implementations of Standard Webhooks are tested with this.
		"standard": {
			engine.WebhookHMAC, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
			[]string{"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.", `{"test": 2432232314}`}, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		},
		// GitHub, "Validating webhook deliveries".
		"github": {
			engine.WebhookGitHub, "It's a Secret to Everybody", []string{"Hello, World!"}, "dXEH6g6yUJ/CESIczphLijdXC211hsIsRvQ3nIsEPhc=",
		},
	} {
		if _, err := hooks.Create(t.Context(), engine.Actor{}, engine.Webhook{Owner: "ann", Name: name, Auth: c.auth}, c.secret); err != nil {
			t.Fatal(err)
		}
		proof := signature(c.auth, nil, c.message...)
		sum, err := base64.StdEncoding.DecodeString(c.sum)
		if err != nil {
			t.Fatal(err)
		}
		proof.Sums = [][]byte{sum}
		if _, secret, _ := called(t, hooks, "ann", name); !secret.Proves(proof) {
			t.Errorf("%s: the published signature is not taken", name)
		}
	}
}

func TestWebhooksOfOthers(t *testing.T) {
	t.Parallel()
	hooks := hookStore(t, t.TempDir()).Webhooks()
	key, err := hooks.Create(t.Context(), engine.Actor{}, engine.Webhook{Owner: "ann", Name: "push", Auth: engine.WebhookKey}, "")
	if err != nil {
		t.Fatal(err)
	}
	for user, owner := range map[string]string{"bob": "bob", "root": "", "-": "-"} {
		_, err := hooks.Get(t.Context(), owner, "push")
		wantFailure(t, err, engine.NotFound, `no such webhook: "push"`, "")
		hook, secret, known := called(t, hooks, user, "push")
		if known || hook != (engine.Webhook{}) || secret.Proves(keyProof(key)) || secret.Proves(keyProof("")) {
			t.Errorf("%s: what is not there takes a key: %+v", user, hook)
		}
		for _, auth := range []engine.WebhookAuth{engine.WebhookHMAC, engine.WebhookGitHub, ""} {
			if secret.Proves(signature(auth, make([]byte, sha256.Size), "x")) || secret.Proves(signature(auth, nil, "x")) {
				t.Errorf("%s: what is not there takes a signature", user)
			}
		}
		wantFailure(t, hooks.Update(t.Context(), engine.Webhook{Owner: owner, Name: "push"}), engine.NotFound, "no such webhook", "")
		wantFailure(t, hooks.Delete(t.Context(), engine.Actor{}, owner, "push"), engine.NotFound, "no such webhook", "")
		_, err = hooks.Rotate(t.Context(), engine.Actor{}, owner, "push", "")
		wantFailure(t, err, engine.NotFound, "no such webhook", "")
		_, err = hooks.Note(t.Context(), owner, "push", nil, "x", now().Add(time.Hour))
		wantFailure(t, err, engine.NotFound, "no such webhook", "")
	}
}

func TestWebhookCallsBecomeOneExecution(t *testing.T) {
	t.Parallel()
	clock := &hours{at: now()}
	s := openWith(t, t.TempDir(), clock)
	hooks := s.Webhooks()
	for _, owner := range []string{"ann", "bob"} {
		if _, err := hooks.Create(t.Context(), engine.Actor{}, engine.Webhook{Owner: owner, Name: "push", Auth: engine.WebhookHMAC}, ""); err != nil {
			t.Fatal(err)
		}
	}
	note := func(owner, mark, id string) engine.ID {
		t.Helper()
		got, err := hooks.Note(t.Context(), owner, "push", []byte(mark), engine.ID(id), clock.now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := []engine.ID{note("ann", "1", "a"), note("ann", "2", "b"), note("bob", "1", "c"), note("ann", "1", "d"), note("bob", "1", "e")}
	if diff := cmp.Diff([]engine.ID{"a", "b", "c", "a", "c"}, got); diff != "" {
		t.Error(diff)
	}
	clock.pass(2 * time.Minute)
	if got := note("ann", "1", "f"); got != "f" {
		t.Errorf("after its time it is %s", got)
	}
	if err := hooks.Delete(t.Context(), engine.Actor{}, "ann", "push"); err != nil {
		t.Errorf("delete with calls: %v", err)
	}
	// Of many that come at once, one decides.
	var all sync.WaitGroup
	ids := make([]engine.ID, 50)
	for i := range ids {
		all.Go(func() {
			ids[i], _ = hooks.Note(t.Context(), "bob", "push", []byte("at once"), engine.ID(fmt.Sprint(i)), clock.now().Add(time.Minute))
		})
	}
	all.Wait()
	for _, id := range ids {
		if id != ids[0] || id == "" {
			t.Errorf("one call became %v", ids)
			break
		}
	}
}

func TestWebhooksAreAudited(t *testing.T) {
	t.Parallel()
	s := hookStore(t, t.TempDir())
	hooks, by := s.Webhooks(), engine.Actor{Owner: "ann", Remote: "192.0.2.1"}
	if _, err := hooks.Create(t.Context(), by, engine.Webhook{Owner: "ann", Name: "push", Auth: engine.WebhookKey}, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := hooks.Rotate(t.Context(), by, "ann", "push", ""); err != nil {
		t.Fatal(err)
	}
	if err := hooks.Delete(t.Context(), by, "ann", "push"); err != nil {
		t.Fatal(err)
	}
	events, err := s.Audit().List(t.Context(), store.AuditFilter{Owner: "ann"})
	var got []engine.AuditKind
	for _, e := range events {
		if e.Subject != "push" || e.Remote != by.Remote {
			t.Errorf("got %+v", e)
		}
		got = append(got, e.What)
	}
	want := []engine.AuditKind{engine.AuditWebhookDelete, engine.AuditWebhookRotate, engine.AuditWebhookCreate}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%s%v", diff, err)
	}
}
