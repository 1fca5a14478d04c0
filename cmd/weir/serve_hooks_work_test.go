package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/engine"
)

// refusedCall is a call of a webhook that is not let in.
type refusedCall struct {
	path   string
	header map[string]string
}

// refusedCalls are calls that are refused, by why. Those of a sort show the same.
func (q *quietSite) refusedCalls(body string) (keyed, signed map[string]refusedCall) {
	q.t.Helper()
	ctx, hooks := q.t.Context(), q.store.Webhooks()
	made := func(owner, name string, auth engine.WebhookAuth, enabled bool) string {
		secret, err := hooks.Create(ctx, engine.Actor{}, engine.Webhook{Owner: owner, Name: name, Flow: hisFlow, Auth: auth, Enabled: enabled}, "")
		if err != nil {
			q.t.Fatal(err)
		}
		return secret
	}
	if _, err := q.store.Users().Create(ctx, engine.Actor{}, "gone", engine.RoleUser); err != nil {
		q.t.Fatal(err)
	}
	key, off, left := made("", "keyed", engine.WebhookKey, true), made("", "off", engine.WebhookKey, false), made("gone", "keyed", engine.WebhookKey, true)
	secret := made("", "signed", engine.WebhookHMAC, true)
	if err := q.store.Users().SetDisabled(ctx, engine.Actor{}, "gone", true); err != nil {
		q.t.Fatal(err)
	}
	wrong, right := standard("whsec_AAAA", "m", time.Now(), body), standard(secret, "m", time.Now(), body)
	keyed = map[string]refusedCall{
		"no such user": {"nobody/keyed", withKey(key)}, "no such webhook": {"admin/nothing", withKey(key)},
		"disabled": {"admin/off", withKey(off)}, "its owner disabled": {"gone/keyed", withKey(left)},
		"wrong key": {"admin/keyed", withKey(off)}, "a key where it is signed": {"admin/signed", withKey(key)},
	}
	signed = map[string]refusedCall{
		"signed, no such user": {"nobody/signed", right}, "signed, no such webhook": {"admin/nothing", right},
		"wrong signature": {"admin/signed", wrong}, "signed where it has a key": {"admin/keyed", right}, "signed, disabled": {"admin/off", right},
	}
	return keyed, signed
}

// call makes a call of a webhook, from an address that was not there before.
func (q *quietSite) call(c refusedCall, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(q.t.Context(), http.MethodPost, "/v1/hooks/"+c.path, strings.NewReader(body))
	q.remotes++
	r.RemoteAddr = strings.Replace("10.9.N.1:1", "N", string(rune('0'+q.remotes%10))+string(rune('0'+q.remotes/10%10)), 1)
	for name, value := range c.header {
		r.Header.Set(name, value)
	}
	answer := httptest.NewRecorder()
	q.server.ServeHTTP(answer, r)
	return answer
}

// TestSameWorkOfWebhooks: whatever a call is refused for, as much is read, decrypted and
// written, statement by statement and row by row.
func TestSameWorkOfWebhooks(t *testing.T) {
	t.Parallel()
	q := newQuietSite(t)
	const body = "body"
	keyed, signed := q.refusedCalls(body)
	var want []string
	for _, calls := range []map[string]refusedCall{keyed, signed} {
		for why, c := range calls {
			q.call(c, body)
			q.asked.take()
			got := q.call(c, body)
			work := q.asked.take()
			if want == nil {
				want = work
				if !slices.Contains(want, "a row") || !slices.Contains(want, "COMMIT") {
					t.Errorf("nothing is read or written for a refusal: %q", want)
				}
			}
			if diff := cmp.Diff(want, work); got.Code != http.StatusUnauthorized || diff != "" {
				t.Errorf("%s: status %d, another amount of work:\n%s", why, got.Code, diff)
			}
		}
	}
}

// BenchmarkRefusedWebhook shows how long calls take that are refused: the medians, and
// where nine in ten end. It is for people to look at.
func BenchmarkRefusedWebhook(b *testing.B) {
	q := newQuietSite(b)
	body := strings.Repeat("x", 64<<10)
	keyed, signed := q.refusedCalls(body)
	took := map[string][]float64{}
	for range b.N {
		for _, calls := range []map[string]refusedCall{keyed, signed} {
			for why, c := range calls {
				began := time.Now()
				q.call(c, body)
				took[why] = append(took[why], float64(time.Since(began).Microseconds()))
			}
		}
	}
	for why, all := range took {
		slices.Sort(all)
		why = strings.ReplaceAll(why, " ", "_")
		b.ReportMetric(all[len(all)/2], why+"-p50-µs")
		b.ReportMetric(all[len(all)*9/10], why+"-p90-µs")
	}
}
