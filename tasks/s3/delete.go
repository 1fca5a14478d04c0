package s3

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/weir-engine/weir/tasks"
)

const (
	// batch is how many objects one request deletes.
	batch = 1000
	// shown is how many failures a message names.
	shown = 3
)

func (s *session) checkDelete() error {
	given := 0
	for _, name := range []string{"key", "keys", "prefix"} {
		if s.in.Has(name) {
			given++
		}
	}
	switch {
	case given != 1:
		return &tasks.Error{Kind: tasks.Invalid, Input: "key", Message: "say what to delete with one of key, keys and prefix"}
	case s.in.Has("prefix") && s.in.String("prefix") == "":
		return &tasks.Error{Kind: tasks.Invalid, Input: "prefix", Message: "prefix is empty, and would delete everything in the bucket",
			Hint: "give a prefix that is not empty"}
	case s.in.Has("version_id") && (!s.in.Has("key") || s.in.Bool("all_versions")):
		return &tasks.Error{Kind: tasks.Invalid, Input: "version_id", Message: "version_id goes with one key, and without all_versions"}
	}
	return nil
}

func (s *session) delete(ctx context.Context) (map[string]any, error) {
	r := &removal{session: s, bucket: s.in.String("bucket"), dry: s.in.Bool("dry_run"), limit: int(s.in.Int("limit"))}
	r.group, r.ctx = errgroup.WithContext(ctx)
	r.group.SetLimit(s.concurrency)
	var err error
	switch {
	case s.in.Bool("all_versions"):
		err = r.allVersions()
	case s.in.Has("prefix"):
		err = r.prefix(s.in.String("prefix"))
	case s.in.Has("keys"):
		for _, key := range s.in.Strings("keys") {
			r.add(key, "")
		}
	default:
		r.add(s.in.String("key"), s.in.String("version_id"))
	}
	r.flush()
	// The first error of a batch ends the listing too, and says more.
	if failed := r.group.Wait(); failed != nil {
		err = failed
	}
	if err == nil {
		err = r.failure()
	}
	if err != nil {
		return nil, err
	}
	out := map[string]any{"count": r.done.Load(), "dry_run": r.dry}
	if r.dry {
		out["count"], out["keys"] = r.planned, r.keys
	}
	return out, nil
}

// removal deletes in batches while more are being found.
type removal struct {
	session *session
	bucket  string
	dry     bool
	limit   int

	group   *errgroup.Group
	ctx     context.Context //nolint:containedctx // the group's own
	waiting []types.ObjectIdentifier
	planned int64
	keys    []any

	done     atomic.Int64
	mu       sync.Mutex
	failed   int
	failures []string
	codes    map[string]bool
}

func (r *removal) prefix(prefix string) error {
	return r.session.pages(r.ctx, r.bucket, prefix, "", "", func(p page) (bool, error) {
		for _, o := range p.entries {
			r.add(o.key, "")
		}
		return false, nil
	})
}

// allVersions deletes every version of what the inputs name.
func (r *removal) allVersions() error {
	in := r.session.in
	prefixes := in.Strings("keys")
	exact := !in.Has("prefix")
	if in.Has("key") {
		prefixes = []string{in.String("key")}
	} else if !exact {
		prefixes = []string{in.String("prefix")}
	}
	for _, prefix := range prefixes {
		err := r.session.versionPages(r.ctx, r.bucket, prefix, func(page []version) (bool, error) {
			for _, v := range page {
				if exact && v.key > prefix {
					return true, nil
				}
				if !exact || v.key == prefix {
					r.add(v.key, v.id)
				}
			}
			return false, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *removal) add(key, version string) {
	r.planned++
	if r.dry {
		if r.limit == 0 || len(r.keys) < r.limit {
			r.keys = append(r.keys, key)
		}
		return
	}
	one := types.ObjectIdentifier{Key: aws.String(key)}
	if version != "" {
		one.VersionId = aws.String(version)
	}
	if !xmlText(key) {
		r.group.Go(func() error { return r.single(one) })
		return
	}
	if r.waiting = append(r.waiting, one); len(r.waiting) == batch {
		r.flush()
	}
}

// xmlText tells whether XML can hold a text, as a request for a batch must.
func xmlText(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
	})
}

func (r *removal) flush() {
	objects := r.waiting
	r.waiting = nil
	switch {
	case len(objects) == 1:
		r.group.Go(func() error { return r.single(objects[0]) })
	case len(objects) > 1:
		r.group.Go(func() error { return r.many(objects) })
	}
}

func (r *removal) single(o types.ObjectIdentifier) error {
	at := place{bucket: r.bucket, key: aws.ToString(o.Key), version: aws.ToString(o.VersionId)}
	_, err := ask(r.ctx, r.session, at, (*s3.Client).DeleteObject, &s3.DeleteObjectInput{
		Bucket: &r.bucket, Key: o.Key, VersionId: o.VersionId, ExpectedBucketOwner: r.session.owner(),
	})
	if err == nil || codeOf(err) == "NoSuchKey" {
		r.count(1)
		return nil
	}
	return err
}

func (r *removal) many(objects []types.ObjectIdentifier) error {
	out, err := ask(r.ctx, r.session, place{bucket: r.bucket}, plainSum(r.session, (*s3.Client).DeleteObjects), &s3.DeleteObjectsInput{
		Bucket: &r.bucket, Delete: &types.Delete{Objects: objects, Quiet: aws.Bool(true)}, ExpectedBucketOwner: r.session.owner(),
	})
	if err != nil {
		return err
	}
	failed := 0
	for _, e := range out.Errors {
		if aws.ToString(e.Code) != "NoSuchKey" {
			failed++
			r.note(e)
		}
	}
	r.count(len(objects) - failed)
	return nil
}

func (r *removal) count(n int) {
	r.session.env.Progress(r.done.Add(int64(n)), 0, "deleting in "+r.bucket)
}

// note keeps a failure, and tells of each.
func (r *removal) note(e types.Error) {
	text := oneLine(fmt.Sprintf("%s: %s %s", aws.ToString(e.Key), aws.ToString(e.Code), aws.ToString(e.Message)))
	r.session.env.Warn("not deleted: " + r.session.secrets.String(text))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.codes == nil {
		r.codes = map[string]bool{}
	}
	r.codes[aws.ToString(e.Code)] = true
	if r.failed++; len(r.failures) < shown {
		r.failures = append(r.failures, text)
	}
}

// failure is the error of what was not deleted, nil if all was.
func (r *removal) failure() error {
	if r.failed == 0 {
		return nil
	}
	e := &tasks.Error{Kind: tasks.Permanent, Input: "key",
		Message: fmt.Sprintf("%d of %d were not deleted: %s", r.failed, r.planned, strings.Join(r.failures, "; "))}
	for code := range r.codes {
		if a, ok := refused()[code]; ok {
			e.Kind, e.Hint, e.Input = a.kind, a.hint, ""
			e.Message += " (s3:DeleteObject)"
		} else if a, ok := passing()[code]; ok {
			e.Kind = a.kind
		}
	}
	return e
}
