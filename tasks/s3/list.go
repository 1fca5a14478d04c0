package s3

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func (s *session) listBuckets(ctx context.Context) (map[string]any, error) {
	buckets := []any{}
	in := &s3.ListBucketsInput{}
	for {
		page, err := ask(ctx, s, place{}, (*s3.Client).ListBuckets, in)
		if err != nil {
			return nil, err
		}
		for _, b := range page.Buckets {
			entry := map[string]any{"name": aws.ToString(b.Name), "created": timeText(b.CreationDate)}
			if b.BucketRegion != nil {
				entry["region"] = *b.BucketRegion
			}
			buckets = append(buckets, entry)
		}
		if aws.ToString(page.ContinuationToken) == "" {
			return map[string]any{"buckets": buckets, "count": int64(len(buckets))}, nil
		}
		in.ContinuationToken = page.ContinuationToken
	}
}

// object is what a list tells of an object.
type object struct {
	key, etag string
	class     string
	size      int64
	modified  time.Time
}

// page is a part of a list. A folder is an object whose key ends with a slash and
// whose modified is zero.
type page struct {
	entries []object
	more    bool
}

// pages lists the objects with a prefix, in the order of their keys, until each
// says that it has enough. With a delimiter, what has it behind the prefix is one
// folder.
func (s *session) pages(ctx context.Context, bucket, prefix, delimiter, after string, each func(page) (enough bool, err error)) error {
	in := &s3.ListObjectsV2Input{
		Bucket: aws.String(bucket), Prefix: aws.String(prefix), EncodingType: types.EncodingTypeUrl, ExpectedBucketOwner: s.owner(),
	}
	if delimiter != "" {
		in.Delimiter = aws.String(delimiter)
	}
	if after != "" {
		in.StartAfter = aws.String(after)
	}
	for {
		out, err := ask(ctx, s, place{bucket: bucket, key: prefix}, (*s3.Client).ListObjectsV2, in)
		if err != nil {
			return err
		}
		more := aws.ToBool(out.IsTruncated) && aws.ToString(out.NextContinuationToken) != ""
		enough, err := each(page{entries: entriesOf(out), more: more})
		if err != nil || enough || !more {
			return err
		}
		in.ContinuationToken = out.NextContinuationToken
	}
}

// entriesOf gives folders and objects of a page in the order of their keys.
func entriesOf(out *s3.ListObjectsV2Output) []object {
	text := plainText
	if out.EncodingType == types.EncodingTypeUrl {
		text = urlText
	}
	entries := make([]object, 0, len(out.Contents)+len(out.CommonPrefixes))
	folders := out.CommonPrefixes
	for _, o := range out.Contents {
		key := text(o.Key)
		for len(folders) > 0 && text(folders[0].Prefix) < key {
			entries = append(entries, object{key: text(folders[0].Prefix)})
			folders = folders[1:]
		}
		entries = append(entries, object{
			key: key, etag: unquote(o.ETag), class: string(o.StorageClass), size: aws.ToInt64(o.Size), modified: aws.ToTime(o.LastModified),
		})
	}
	for _, f := range folders {
		entries = append(entries, object{key: text(f.Prefix)})
	}
	return entries
}

func plainText(text *string) string { return aws.ToString(text) }

// urlText decodes what a server encoded because XML cannot hold it.
func urlText(text *string) string {
	decoded, err := url.QueryUnescape(aws.ToString(text))
	if err != nil {
		return aws.ToString(text)
	}
	return decoded
}

func unquote(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }

func timeText(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func (o object) isFolder() bool { return o.modified.IsZero() && strings.HasSuffix(o.key, "/") }

// output is the entry as the user sees it. base is the folder that was listed.
func (o object) output(base string) map[string]any {
	entry := map[string]any{"type": "object", "key": o.key, "name": strings.TrimPrefix(o.key, base)}
	if o.isFolder() {
		entry["type"] = "folder"
		return entry
	}
	entry["size"], entry["modified"], entry["etag"] = o.size, timeText(&o.modified), o.etag
	if o.class != "" {
		entry["storage_class"] = o.class
	}
	return entry
}

// listing collects a list: into the output, or line by line into a file.
type listing struct {
	base, contains string
	limit          int
	maxPages       int64

	entries       []any
	lines         *bufio.Writer // nil: into entries
	count         int
	size          int64
	pages, looked int64
	last          string
	truncated     bool
}

func (s *session) list(ctx context.Context) (map[string]any, error) {
	prefix := s.in.String("prefix")
	l := &listing{
		base: prefix[:strings.LastIndex(prefix, "/")+1], contains: strings.ToLower(s.in.String("contains")),
		limit: int(s.in.Int("limit")), maxPages: s.in.Int("max_pages"), entries: []any{},
	}
	run := func() error {
		return s.pages(ctx, s.in.String("bucket"), prefix+s.in.String("search"), s.delimiter(), s.in.String("start_after"), func(p page) (bool, error) {
			s.env.Progress(l.looked+int64(len(p.entries)), 0, "listing "+s.in.String("bucket"))
			return l.add(p)
		})
	}
	if s.in.Has("file") {
		if err := s.listToFile(l, run); err != nil {
			return nil, err
		}
	} else if err := run(); err != nil {
		return nil, err
	}
	out := map[string]any{"count": int64(l.count), "size": l.size, "truncated": l.truncated}
	if l.truncated {
		out["next"] = l.last
	}
	if l.contains != "" {
		out["scanned"] = l.looked
	}
	if s.in.Has("file") {
		out["file"] = s.in.String("file")
	} else {
		out["entries"] = l.entries
	}
	return out, nil
}

func (s *session) delimiter() string {
	if s.in.Bool("recursive") {
		return ""
	}
	return "/"
}

func (s *session) listToFile(l *listing, run func() error) error {
	l.limit, l.entries = 0, nil
	f, err := newTarget(s.env.Files, s.in.String("file"))
	if err != nil {
		return err
	}
	defer f.discard()
	l.lines = bufio.NewWriterSize(f, 64<<10)
	if err := run(); err != nil {
		return err
	}
	if err := l.lines.Flush(); err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	return f.commit()
}

// add takes one page in, and tells whether that is enough.
func (l *listing) add(p page) (enough bool, err error) {
	l.pages++
	for _, o := range p.entries {
		if l.limit > 0 && l.count == l.limit {
			l.truncated = true
			return true, nil
		}
		l.looked++
		l.last = o.key
		if o.isFolder() {
			// The folder's objects come after it: beyond all of them is what is left.
			l.last = o.key + "\U0010FFFF"
		}
		entry := o.output(l.base)
		if l.contains != "" && !strings.Contains(strings.ToLower(entry["name"].(string)), l.contains) {
			continue
		}
		l.count++
		l.size += o.size
		if err := l.keep(entry); err != nil {
			return false, err
		}
	}
	l.truncated = p.more && (l.limit > 0 && l.count == l.limit || l.contains != "" && l.pages >= l.maxPages)
	return l.truncated, nil
}

func (l *listing) keep(entry map[string]any) error {
	if l.lines == nil {
		l.entries = append(l.entries, entry)
		return nil
	}
	line, err := json.Marshal(entry)
	if err != nil {
		return fmt.Errorf("write the list: %w", err)
	}
	_, err = l.lines.Write(append(line, '\n'))
	return err
}

func (s *session) versions(ctx context.Context) (map[string]any, error) {
	prefix := s.in.String("prefix")
	if s.in.Has("key") {
		prefix = s.in.String("key")
	}
	limit, truncated := int(s.in.Int("limit")), false
	versions := []any{}
	err := s.versionPages(ctx, s.in.String("bucket"), prefix, func(page []version) (bool, error) {
		for _, v := range page {
			if s.in.Has("key") && v.key != prefix {
				if v.key > prefix {
					return true, nil
				}
				continue
			}
			if truncated = limit > 0 && len(versions) == limit; truncated {
				return true, nil
			}
			versions = append(versions, v.output())
		}
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"versions": versions, "count": int64(len(versions)), "truncated": truncated}, nil
}

// version is a version of an object, or the mark that it was deleted.
type version struct {
	object
	id              string
	latest, deleted bool
}

func (v version) output() map[string]any {
	out := map[string]any{"key": v.key, "version_id": v.id, "latest": v.latest, "deleted": v.deleted, "modified": timeText(&v.modified)}
	if !v.deleted {
		out["size"], out["etag"] = v.size, v.etag
	}
	return out
}

// versionPages lists versions by key, newest first, until each has enough.
func (s *session) versionPages(ctx context.Context, bucket, prefix string, each func([]version) (enough bool, err error)) error {
	in := &s3.ListObjectVersionsInput{
		Bucket: aws.String(bucket), Prefix: aws.String(prefix), EncodingType: types.EncodingTypeUrl, ExpectedBucketOwner: s.owner(),
	}
	for {
		out, err := ask(ctx, s, place{bucket: bucket, key: prefix}, (*s3.Client).ListObjectVersions, in)
		if err != nil {
			return err
		}
		enough, err := each(versionsOf(out))
		if err != nil || enough || !aws.ToBool(out.IsTruncated) {
			return err
		}
		in.KeyMarker, in.VersionIdMarker = out.NextKeyMarker, out.NextVersionIdMarker
		if out.EncodingType == types.EncodingTypeUrl && in.KeyMarker != nil {
			in.KeyMarker = aws.String(urlText(in.KeyMarker))
		}
	}
}

// versionsOf brings a page's versions and marks into one order.
func versionsOf(out *s3.ListObjectVersionsOutput) []version {
	text := plainText
	if out.EncodingType == types.EncodingTypeUrl {
		text = urlText
	}
	var all []version
	for _, v := range out.Versions {
		all = append(all, version{id: aws.ToString(v.VersionId), latest: aws.ToBool(v.IsLatest), object: object{
			key: text(v.Key), etag: unquote(v.ETag), size: aws.ToInt64(v.Size), modified: aws.ToTime(v.LastModified),
		}})
	}
	for _, m := range out.DeleteMarkers {
		all = append(all, version{id: aws.ToString(m.VersionId), latest: aws.ToBool(m.IsLatest), deleted: true, object: object{
			key: text(m.Key), modified: aws.ToTime(m.LastModified),
		}})
	}
	sortVersions(all)
	return all
}
