package s3

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/weir-engine/weir/tasks"
)

const (
	// copyAtOnce is the largest object that one request may copy.
	copyAtOnce = 5 << 30
	// copyPart is how much one request copies of a larger one; it moves no bytes here.
	copyParts = 512 << 20
)

func (s *session) checkCopy() error {
	from, to := s.target(), s.destination()
	if from.bucket == to.bucket && from.key == to.key && (s.op == cmdMove || from.version == "" && !s.replaces()) {
		return &tasks.Error{Kind: tasks.Invalid, Input: "to_key", Message: "source and destination are the same object",
			Hint: "a copy onto itself is possible if it changes metadata or storage class"}
	}
	return nil
}

// destination is where a copy goes.
func (s *session) destination() place {
	to := place{bucket: s.in.String("to_bucket"), key: s.in.String("to_key")}
	if to.bucket == "" {
		to.bucket = s.in.String("bucket")
	}
	return to
}

// replaces tells whether the copy gets metadata of its own.
func (s *session) replaces() bool {
	for _, name := range []string{"content_type", "cache_control", "content_disposition", "content_encoding", "metadata", "storage_class", "encryption", "tags"} {
		if s.in.Has(name) {
			return true
		}
	}
	return false
}

func (s *session) move(ctx context.Context) (map[string]any, error) {
	out, err := s.copy(ctx)
	if err != nil {
		return nil, err
	}
	s.copied = true
	at := s.target()
	in := &s3.DeleteObjectInput{Bucket: &at.bucket, Key: &at.key, ExpectedBucketOwner: s.owner()}
	if at.version != "" {
		in.VersionId = &at.version
	}
	_, err = ask(ctx, s, at, (*s3.Client).DeleteObject, in)
	return out, err
}

func (s *session) copy(ctx context.Context) (map[string]any, error) {
	from, to := s.target(), s.destination()
	head, err := s.head(ctx, from)
	if err != nil {
		return nil, err
	}
	c := &copying{session: s, from: from, to: to, head: head, size: aws.ToInt64(head.ContentLength)}
	do := c.atOnce
	if c.size > cmp.Or(s.config.copyLimit, copyAtOnce) {
		do = c.inParts
	}
	etag, version, err := do(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"bucket": to.bucket, "key": to.key, "size": c.size, "etag": unquote(etag), "source": from.bucket + "/" + from.key}
	putVersion(out, version)
	return out, nil
}

// copying is one copy within the service.
type copying struct {
	session  *session
	from, to place
	head     *s3.HeadObjectOutput
	size     int64
}

// source names what is copied, as the header that does wants it.
func (c *copying) source() *string {
	text := escapeKey(c.from.bucket + "/" + c.from.key)
	if c.from.version != "" {
		text += "?versionId=" + url.QueryEscape(c.from.version)
	}
	return &text
}

// escapeKey encodes all but slashes and what never means anything in a URL.
func escapeKey(key string) string {
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(key), "+", "%20"), "%2F", "/")
}

func (c *copying) atOnce(ctx context.Context) (etag, version *string, err error) {
	s := c.session
	in := &s3.CopyObjectInput{
		Bucket: &c.to.bucket, Key: &c.to.key, CopySource: c.source(), CopySourceIfMatch: c.head.ETag,
		StorageClass: types.StorageClass(s.in.String("storage_class")), ServerSideEncryption: types.ServerSideEncryption(s.in.String("encryption")),
		SSEKMSKeyId: s.given("kms_key_id"), ExpectedBucketOwner: s.owner(), ExpectedSourceBucketOwner: s.owner(),
	}
	if s.replaces() {
		in.MetadataDirective = types.MetadataDirectiveReplace
		in.ContentType, in.Metadata = c.kept("content_type", c.head.ContentType), c.keptMetadata()
		in.CacheControl = c.kept("cache_control", c.head.CacheControl)
		in.ContentDisposition = c.kept("content_disposition", c.head.ContentDisposition)
		in.ContentEncoding = c.kept("content_encoding", c.head.ContentEncoding)
	}
	if tags := s.tagging(); tags != nil {
		in.Tagging, in.TaggingDirective = tags, types.TaggingDirectiveReplace
	}
	out, err := ask(ctx, s, c.to, (*s3.Client).CopyObject, in)
	if err != nil {
		return nil, nil, err
	}
	if out.CopyObjectResult != nil {
		etag = out.CopyObjectResult.ETag
	}
	return etag, out.VersionId, nil
}

// kept is an input, or what the source has.
func (c *copying) kept(name string, has *string) *string {
	if given := c.session.given(name); given != nil {
		return given
	}
	return has
}

func (c *copying) keptMetadata() map[string]string {
	if c.session.in.Has("metadata") {
		return c.session.textMap("metadata")
	}
	return c.head.Metadata
}

// inParts copies an object that is too large for one request.
func (c *copying) inParts(ctx context.Context) (etag, version *string, err error) {
	s := c.session
	create := s.createInput(c.to, aws.ToString(c.kept("content_type", c.head.ContentType)))
	create.Metadata = c.keptMetadata()
	create.CacheControl = c.kept("cache_control", c.head.CacheControl)
	create.ContentDisposition = c.kept("content_disposition", c.head.ContentDisposition)
	create.ContentEncoding = c.kept("content_encoding", c.head.ContentEncoding)
	begun, err := ask(ctx, s, c.to, (*s3.Client).CreateMultipartUpload, &create)
	if err != nil {
		return nil, nil, err
	}
	u := &partsUpload{session: s, at: c.to, header: sendHeader{ID: aws.ToString(begun.UploadId), Size: c.size, Part: partSizeFor(c.size, cmp.Or(s.config.copyPart, copyParts))}}
	u.parts = make([]sentPart, u.count())
	m := &meter{report: s.env.Progress, message: "copying " + c.from.String(), total: c.size}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(s.concurrency)
	for n := int32(1); n <= u.count() && groupCtx.Err() == nil; n++ {
		group.Go(func() error {
			defer m.add(u.sizeOf(n), 1)
			return c.part(groupCtx, u, n)
		})
	}
	err = group.Wait()
	var done *s3.CompleteMultipartUploadOutput
	if err == nil {
		done, err = u.complete(ctx)
	}
	if err != nil {
		u.abort(ctx, u.header.ID)
		return nil, nil, err
	}
	return done.ETag, done.VersionId, nil
}

func (c *copying) part(ctx context.Context, u *partsUpload, n int32) error {
	from := int64(n-1) * u.header.Part
	out, err := ask(ctx, c.session, c.to, (*s3.Client).UploadPartCopy, &s3.UploadPartCopyInput{
		Bucket: &c.to.bucket, Key: &c.to.key, UploadId: &u.header.ID, PartNumber: &n, CopySource: c.source(), CopySourceIfMatch: c.head.ETag,
		CopySourceRange:     aws.String(fmt.Sprintf("bytes=%d-%d", from, from+u.sizeOf(n)-1)),
		ExpectedBucketOwner: c.session.owner(), ExpectedSourceBucketOwner: c.session.owner(),
	})
	if err != nil {
		return err
	}
	if out.CopyPartResult != nil {
		u.parts[n-1] = sentPart{N: n, ETag: aws.ToString(out.CopyPartResult.ETag), CRC32: aws.ToString(out.CopyPartResult.ChecksumCRC32)}
	}
	return nil
}
