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

// keptTags gives the tags of the copy, which goes in one request by itself.
func (c *copying) keptTags(ctx context.Context) (*string, error) {
	s := c.session
	if s.in.Has("tags") || aws.ToInt32(c.head.TagCount) == 0 {
		return s.tagging(), nil
	}
	in := &s3.GetObjectTaggingInput{Bucket: &c.from.bucket, Key: &c.from.key, ExpectedBucketOwner: s.owner()}
	if c.from.version != "" {
		in.VersionId = &c.from.version
	}
	out, err := ask(ctx, s, c.from, (*s3.Client).GetObjectTagging, in)
	if err != nil {
		return nil, err
	}
	tags := url.Values{}
	for _, t := range out.TagSet {
		tags.Set(aws.ToString(t.Key), aws.ToString(t.Value))
	}
	return aws.String(tags.Encode()), nil
}

// inParts copies an object that is too large for one request.
func (c *copying) inParts(ctx context.Context) (etag, version *string, err error) {
	s := c.session
	object := s.objectInput(c.to, aws.ToString(c.kept("content_type", c.head.ContentType)))
	object.Metadata = c.keptMetadata()
	object.CacheControl = c.kept("cache_control", c.head.CacheControl)
	object.ContentDisposition = c.kept("content_disposition", c.head.ContentDisposition)
	object.ContentEncoding = c.kept("content_encoding", c.head.ContentEncoding)
	if object.Tagging, err = c.keptTags(ctx); err != nil {
		return nil, nil, err
	}
	u := &partsUpload{
		session: s, at: c.to, object: object, meter: &meter{report: s.env.Progress, message: "copying " + c.from.String(), total: c.size},
		header: partsHeader{
			Size: c.size, Modified: aws.ToTime(c.head.LastModified).UTC(), Source: aws.ToString(c.head.ETag),
			Part: partSizeFor(c.size, cmp.Or(s.config.copyPart, copyParts)),
		},
		unchanged: func() error { return nil }, // each part was copied from that ETag
	}
	u.transfer = func(ctx context.Context, n int32) (sentPart, error) { return c.part(ctx, u, n) }
	done, err := u.do(ctx, "copy", *c.source())
	return done.etag, done.version, err
}

func (c *copying) part(ctx context.Context, u *partsUpload, n int32) (sentPart, error) {
	from := int64(n-1) * u.header.Part
	out, err := ask(ctx, c.session, c.to, (*s3.Client).UploadPartCopy, &s3.UploadPartCopyInput{
		Bucket: &c.to.bucket, Key: &c.to.key, UploadId: &u.header.ID, PartNumber: &n, CopySource: c.source(), CopySourceIfMatch: c.head.ETag,
		CopySourceRange:     aws.String(fmt.Sprintf("bytes=%d-%d", from, from+u.sizeOf(n)-1)),
		ExpectedBucketOwner: c.session.owner(), ExpectedSourceBucketOwner: c.session.owner(),
	})
	if err != nil {
		return sentPart{}, err
	}
	if out.CopyPartResult == nil {
		return sentPart{}, &tasks.Error{Kind: tasks.Permanent, Message: "the service does not tell what it has copied"}
	}
	return sentPart{N: n, ETag: aws.ToString(out.CopyPartResult.ETag), CRC32: aws.ToString(out.CopyPartResult.ChecksumCRC32)}, nil
}
