package s3

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/tasks"
)

// byteRange is which bytes of an object are wanted: from up to and with last; the
// last -from ones if from is negative; up to the end if last is negative.
type byteRange struct{ from, last int64 }

// parseRange reads the input range; nil if there is none.
func parseRange(in schema.Inputs) (*byteRange, error) {
	if !in.Has("range") {
		return nil, nil
	}
	bad := &tasks.Error{Kind: tasks.Invalid, Input: "range", Message: "range is none of 0-99, 100- and -100"}
	from, last, ok := strings.Cut(in.String("range"), "-")
	if !ok {
		return nil, bad
	}
	r := &byteRange{last: -1}
	number := func(text string) (n int64) {
		n, err := strconv.ParseInt(text, 10, 64)
		ok = ok && err == nil && n >= 0 && !strings.HasPrefix(text, "+")
		return n
	}
	switch {
	case from == "":
		r.from = -number(last)
		ok = ok && r.from != 0
	case last == "":
		r.from = number(from)
	default:
		r.from, r.last = number(from), number(last)
		ok = ok && r.from <= r.last
	}
	if !ok {
		return nil, bad
	}
	return r, nil
}

// header is the value of the HTTP header Range.
func (r *byteRange) header() *string {
	switch {
	case r == nil:
		return nil
	case r.from < 0:
		return aws.String(fmt.Sprintf("bytes=%d", r.from))
	case r.last < 0:
		return aws.String(fmt.Sprintf("bytes=%d-", r.from))
	}
	return aws.String(fmt.Sprintf("bytes=%d-%d", r.from, r.last))
}

func (s *session) download(ctx context.Context) (map[string]any, error) {
	at := s.target()
	wanted, err := parseRange(s.in)
	if err != nil {
		return nil, err
	}
	if !s.in.Has("file") {
		return s.inline(ctx, at, wanted)
	}
	if _, err := localPath(s.in.String("file")); err != nil {
		return nil, err
	}
	if wanted != nil {
		return s.rangeToFile(ctx, at, wanted)
	}
	head, err := s.head(ctx, at)
	if err != nil {
		return nil, err
	}
	out := describe(at, head)
	f := fetch{
		session: s, at: at, name: s.in.String("file"), etag: aws.ToString(head.ETag), size: aws.ToInt64(head.ContentLength), head: head, durable: true,
		meter: &meter{report: s.env.Progress, message: "downloading " + at.String(), total: aws.ToInt64(head.ContentLength)},
	}
	resumed, err := f.run(ctx)
	if err != nil {
		return nil, err
	}
	out["file"] = s.in.String("file")
	if resumed > 0 {
		out["resumed"] = resumed
	}
	return out, nil
}

// get asks for the content of an object, or a part of it.
func (s *session) get(ctx context.Context, at place, etag string, wanted *byteRange) (*s3.GetObjectOutput, error) {
	in := &s3.GetObjectInput{Bucket: aws.String(at.bucket), Key: aws.String(at.key), ExpectedBucketOwner: s.owner(), Range: wanted.header()}
	if at.version != "" {
		in.VersionId = aws.String(at.version)
	}
	if etag != "" {
		in.IfMatch = aws.String(etag)
	}
	if wanted == nil && s.summed() {
		in.ChecksumMode = types.ChecksumModeEnabled
	}
	return ask(ctx, s, at, (*s3.Client).GetObject, in)
}

// inline puts the content into the output.
func (s *session) inline(ctx context.Context, at place, wanted *byteRange) (map[string]any, error) {
	got, err := s.get(ctx, at, "", wanted)
	if err != nil {
		return nil, err
	}
	defer got.Body.Close() //nolint:errcheck // only read
	size := aws.ToInt64(got.ContentLength)
	if size > inlineLimit {
		return nil, &tasks.Error{
			Kind: tasks.Invalid, Input: "file",
			Message: fmt.Sprintf("there are %d bytes, and an output holds at most %d", size, inlineLimit),
			Hint:    "give `file` to write them into the files directory, or `range` to get some",
		}
	}
	content, err := io.ReadAll(io.LimitReader(got.Body, inlineLimit+1))
	if err != nil {
		return nil, &requestError{at: at, err: fmt.Errorf("read the content: %w", err)}
	}
	if int64(len(content)) != size {
		return nil, &requestError{at: at, err: io.ErrUnexpectedEOF}
	}
	out := describe(at, headOf(got))
	if utf8.Valid(content) {
		out["content"] = string(content)
	}
	out["content_base64"] = base64.StdEncoding.EncodeToString(content)
	putRange(out, wanted, got)
	return out, nil
}

// headOf gives what a GET tells beside the content.
func headOf(got *s3.GetObjectOutput) *s3.HeadObjectOutput {
	return &s3.HeadObjectOutput{
		ContentLength: got.ContentLength, ETag: got.ETag, LastModified: got.LastModified, Metadata: got.Metadata, ContentType: got.ContentType,
		ContentEncoding: got.ContentEncoding, ContentDisposition: got.ContentDisposition, CacheControl: got.CacheControl, StorageClass: got.StorageClass,
		ServerSideEncryption: got.ServerSideEncryption, SSEKMSKeyId: got.SSEKMSKeyId, VersionId: got.VersionId, ChecksumType: got.ChecksumType,
		ChecksumCRC32: got.ChecksumCRC32, ChecksumCRC32C: got.ChecksumCRC32C, ChecksumCRC64NVME: got.ChecksumCRC64NVME,
		ChecksumSHA1: got.ChecksumSHA1, ChecksumSHA256: got.ChecksumSHA256,
	}
}

// putRange tells which bytes were downloaded, and corrects the size.
func putRange(out map[string]any, wanted *byteRange, got *s3.GetObjectOutput) {
	if wanted == nil {
		return
	}
	text := strings.TrimPrefix(aws.ToString(got.ContentRange), "bytes ")
	out["range"] = text
	if _, total, ok := strings.Cut(text, "/"); ok {
		if n, err := strconv.ParseInt(total, 10, 64); err == nil {
			out["size"] = n
		}
	}
}

// rangeToFile writes some bytes of an object into a file.
func (s *session) rangeToFile(ctx context.Context, at place, wanted *byteRange) (map[string]any, error) {
	got, err := s.get(ctx, at, "", wanted)
	if err != nil {
		return nil, err
	}
	defer got.Body.Close() //nolint:errcheck // only read
	f, err := newTarget(s.env.Files, s.in.String("file"))
	if err != nil {
		return nil, err
	}
	defer f.discard()
	size := aws.ToInt64(got.ContentLength)
	n, err := io.Copy(f, got.Body)
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, &requestError{at: at, err: fmt.Errorf("download: %w", err)}
	}
	if err := f.commit(); err != nil {
		return nil, err
	}
	out := describe(at, headOf(got))
	out["file"] = s.in.String("file")
	putRange(out, wanted, got)
	return out, nil
}
