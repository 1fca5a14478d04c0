package store_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/store"
)

func TestWebhooks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	hooks := s.Webhooks()
	keyed := engine.Webhook{
		Owner: "ann", Name: "push", Flow: "deploy", Mode: engine.WebhookSync, Auth: engine.WebhookKey, MaxBody: 1 << 10, PerMinute: 6,
		Timeout: time.Second, ReplayWindow: time.Minute, Enabled: true,
	}
	key, err := hooks.Create(t.Context(), keyed, "")
	if err != nil || len(key) != 43 {
		t.Fatalf("the key has %d characters, %v", len(key), err)
	}
	signed := engine.Webhook{Owner: "", Name: "push", Flow: "mine", Auth: engine.WebhookHMAC, Enabled: true}
	if text, err := hooks.Create(t.Context(), signed, "a secret that GitHub knows"); err != nil || text != "a secret that GitHub knows" {
		t.Fatalf("the secret is %q, %v", text, err)
	}
	_, err = hooks.Create(t.Context(), keyed, "")
	wantFailure(t, err, engine.Conflict, `there is a webhook "push" already`, "")
	_, err = hooks.Create(t.Context(), signed, "too short")
	wantFailure(t, err, engine.Invalid, "at least 16 bytes", "")
	_, err = hooks.Create(t.Context(), engine.Webhook{Name: "x"}, "")
	wantFailure(t, err, engine.Invalid, "show a key or sign", "")

	got, secret, err := open(t, dir).Webhooks().Get(t.Context(), "ann", "push")
	if diff := cmp.Diff(keyed, got, cmpopts.IgnoreFields(engine.Webhook{}, "Changed")); err != nil || diff != "" {
		t.Errorf("read again (-want +got):\n%s%v", diff, err)
	}
	if !secret.Key(key) || secret.Key(key+"x") || secret.Key("") || secret.Signed(nil, nil) {
		t.Error("another key than its own is taken, or not its own")
	}
	checkSigned(t, hooks)
	keyed.Flow, keyed.Auth, keyed.Enabled = "other", engine.WebhookHMAC, false
	if err := hooks.Update(t.Context(), keyed); err != nil {
		t.Fatal(err)
	}
	if got, secret, err = hooks.Get(t.Context(), "ann", "push"); err != nil || got.Flow != "other" || got.Enabled || got.Auth != engine.WebhookKey || !secret.Key(key) {
		t.Errorf("after an update it is %+v, %v", got, err)
	}
	if err := hooks.Delete(t.Context(), "ann", "push"); err != nil {
		t.Fatal(err)
	}
}

// checkSigned checks how signatures of the webhook "push" are taken.
func checkSigned(t *testing.T, hooks *store.Webhooks) {
	t.Helper()
	_, secret, err := hooks.Get(t.Context(), "", "push")
	mac := hmac.New(sha256.New, []byte("a secret that GitHub knows"))
	mac.Write([]byte("body"))
	if sum := mac.Sum(nil); err != nil || !secret.Signed([]byte("body"), sum) || secret.Signed([]byte("bodies"), sum) || secret.Signed([]byte("body"), nil) || secret.Key("a secret that GitHub knows") {
		t.Errorf("another signature than its own is taken, or not its own; %v", err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, secret); strings.Contains(text, "GitHub") || strings.Contains(text, "97, 32") {
			t.Errorf("%s prints %s", format, text)
		}
	}
}

func TestWebhooksOfOthers(t *testing.T) {
	t.Parallel()
	hooks := open(t, t.TempDir()).Webhooks()
	key, err := hooks.Create(t.Context(), engine.Webhook{Owner: "ann", Name: "push", Auth: engine.WebhookKey}, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, owner := range []string{"bob", ""} {
		_, secret, err := hooks.Get(t.Context(), owner, "push")
		wantFailure(t, err, engine.NotFound, `no such webhook: "push"`, "")
		if secret.Key(key) || secret.Key("") {
			t.Error("what is not there takes a key")
		}
		wantFailure(t, hooks.Update(t.Context(), engine.Webhook{Owner: owner, Name: "push"}), engine.NotFound, "no such webhook", "")
		wantFailure(t, hooks.Delete(t.Context(), owner, "push"), engine.NotFound, "no such webhook", "")
		wantFailure(t, hooks.Once(t.Context(), owner, "push", nil, now()), engine.NotFound, "no such webhook", "")
	}
}

func TestWebhookCallsComeOnce(t *testing.T) {
	t.Parallel()
	clock := &hours{at: now()}
	s := openWith(t, t.TempDir(), clock)
	hooks := s.Webhooks()
	for _, owner := range []string{"ann", "bob"} {
		if _, err := hooks.Create(t.Context(), engine.Webhook{Owner: owner, Name: "push", Auth: engine.WebhookHMAC}, ""); err != nil {
			t.Fatal(err)
		}
	}
	once := func(owner, mark string) error {
		return hooks.Once(t.Context(), owner, "push", []byte(mark), clock.now().Add(time.Minute))
	}
	for _, call := range []func() error{
		func() error { return once("ann", "1") }, func() error { return once("ann", "2") }, func() error { return once("bob", "1") },
	} {
		if err := call(); err != nil {
			t.Fatal(err)
		}
	}
	wantFailure(t, once("ann", "1"), engine.Conflict, "has had this call already", "")
	clock.pass(2 * time.Minute)
	if err := once("ann", "1"); err != nil {
		t.Errorf("after its window: %v", err)
	}
	if err := hooks.Delete(t.Context(), "ann", "push"); err != nil {
		t.Errorf("delete with calls: %v", err)
	}
}
