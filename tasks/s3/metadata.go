package s3

import (
	"context"
	"errors"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func (s *session) metadata(ctx context.Context) (map[string]any, error) {
	at := s.target()
	head, err := s.head(ctx, at)
	if err != nil {
		return nil, err
	}
	return describe(at, head), nil
}

// head asks for all but the content. The answer to a failed HEAD has no words in
// it, so the same is asked again as GET, whose error is better.
func (s *session) head(ctx context.Context, at place) (*s3.HeadObjectOutput, error) {
	in := &s3.HeadObjectInput{
		Bucket: aws.String(at.bucket), Key: aws.String(at.key), ExpectedBucketOwner: s.owner(),
	}
	if s.in.String("checksums") != checksumsRequired {
		in.ChecksumMode = types.ChecksumModeEnabled
	}
	if at.version != "" {
		in.VersionId = aws.String(at.version)
	}
	head, err := ask(ctx, s, at, (*s3.Client).HeadObject, in)
	if status := statusOf(err); !s.summed() && (status == http.StatusBadRequest || status == http.StatusNotImplemented) {
		in.ChecksumMode = "" // the service may know none
		head, err = ask(ctx, s, at, (*s3.Client).HeadObject, in)
	}
	if err == nil || ctx.Err() != nil || statusOf(err) == 0 {
		return head, err
	}
	get, better := ask(ctx, s, at, (*s3.Client).GetObject, &s3.GetObjectInput{
		Bucket: in.Bucket, Key: in.Key, VersionId: in.VersionId, ExpectedBucketOwner: in.ExpectedBucketOwner, Range: aws.String("bytes=0-0"),
	})
	if better == nil {
		return nil, errors.Join(err, get.Body.Close())
	}
	return nil, better
}

// describe gives what the output tells of an object.
func describe(at place, head *s3.HeadObjectOutput) map[string]any {
	out := map[string]any{
		"bucket": at.bucket, "key": at.key, "size": aws.ToInt64(head.ContentLength), "etag": unquote(head.ETag),
		"modified": timeText(head.LastModified), "metadata": texts(head.Metadata),
	}
	putText(out, "content_type", aws.ToString(head.ContentType))
	putText(out, "content_encoding", aws.ToString(head.ContentEncoding))
	putText(out, "content_disposition", aws.ToString(head.ContentDisposition))
	putText(out, "cache_control", aws.ToString(head.CacheControl))
	putText(out, "storage_class", string(head.StorageClass))
	putText(out, "encryption", string(head.ServerSideEncryption))
	putText(out, "kms_key_id", aws.ToString(head.SSEKMSKeyId))
	putVersion(out, head.VersionId)
	if sums := checksumsOf(head); len(sums) > 0 {
		out["checksums"] = sums
	}
	return out
}

func checksumsOf(head *s3.HeadObjectOutput) map[string]any {
	sums := map[string]any{}
	putText(sums, "crc32", aws.ToString(head.ChecksumCRC32))
	putText(sums, "crc32c", aws.ToString(head.ChecksumCRC32C))
	putText(sums, "crc64nvme", aws.ToString(head.ChecksumCRC64NVME))
	putText(sums, "sha1", aws.ToString(head.ChecksumSHA1))
	putText(sums, "sha256", aws.ToString(head.ChecksumSHA256))
	if len(sums) > 0 {
		putText(sums, "type", string(head.ChecksumType))
	}
	return sums
}

// putText leaves out what is empty.
func putText(out map[string]any, name, text string) {
	if text != "" {
		out[name] = text
	}
}

// putVersion leaves out the version of a bucket that keeps none.
func putVersion(out map[string]any, id *string) {
	if v := aws.ToString(id); v != "" && v != "null" {
		out["version_id"] = v
	}
}

func texts(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}
