package s3

import (
	"context"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/tasks"
)

// longest is how long a presigned URL may be valid.
const longest = 7 * 24 * time.Hour

func (s *session) checkPresign() error {
	if d := s.in.Duration("expires"); d < time.Second || d > longest {
		return &tasks.Error{Kind: tasks.Invalid, Input: "expires", Message: "expires is not between one second and 7 days"}
	}
	if s.in.String("auth_method") == authAnonymous {
		return &tasks.Error{Kind: tasks.Invalid, Input: "auth_method", Message: "a URL is signed with credentials, and anonymous has none"}
	}
	return nil
}

func (s *session) presign(ctx context.Context) (map[string]any, error) {
	at, valid := s.target(), s.in.Duration("expires")
	if s.onAWS() {
		// A signature holds for one region; the answer itself does not matter.
		_, _ = ask(ctx, s, at, (*s3.Client).HeadBucket, &s3.HeadBucketInput{Bucket: &at.bucket})
	}
	credentials, err := s.aws.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	until := now.Add(valid)
	if credentials.CanExpire && credentials.Expires.Before(until) {
		until = credentials.Expires
		s.env.Warn("the URL ends with the temporary credentials, at " + timeText(&until))
	}
	signed, err := s.sign(ctx, at, valid)
	if err != nil {
		return nil, &requestError{at: at, err: err}
	}
	s.maskURL(signed.URL)
	out := map[string]any{"url": signed.URL, "method": signed.Method, "expires": timeText(&until)}
	headers := map[string]any{}
	for name, values := range signed.SignedHeader {
		if name != "Host" && len(values) > 0 {
			headers[name] = values[0]
		}
	}
	if len(headers) > 0 {
		out["headers"] = headers
	}
	return out, nil
}

func (s *session) sign(ctx context.Context, at place, valid time.Duration) (*v4.PresignedHTTPRequest, error) {
	client := s3.NewPresignClient(s.client(at.bucket), s3.WithPresignExpires(valid))
	if s.in.String("method") == presignPut {
		in := &s3.PutObjectInput{Bucket: &at.bucket, Key: &at.key, ContentType: s.given("content_type")}
		return client.PresignPutObject(ctx, in, func(o *s3.PresignOptions) {
			// The content is not known yet, and so no checksum of it.
			o.ClientOptions = append(o.ClientOptions, func(o *s3.Options) { o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired })
		})
	}
	in := &s3.GetObjectInput{Bucket: &at.bucket, Key: &at.key}
	if at.version != "" {
		in.VersionId = &at.version
	}
	return client.PresignGetObject(ctx, in, func(o *s3.PresignOptions) {
		o.ClientOptions = append(o.ClientOptions, func(o *s3.Options) { o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired })
	})
}

// maskURL keeps a URL that is as good as a password out of what is shown, whole or
// in part.
func (s *session) maskURL(text string) {
	found := []secret.Value{secret.New(text)}
	if u, err := url.Parse(text); err == nil {
		for _, name := range []string{"X-Amz-Signature", "X-Amz-Security-Token"} {
			if v := u.Query().Get(name); v != "" {
				found = append(found, secret.New(v))
			}
		}
		found = append(found, secret.New(u.RawQuery))
	}
	s.mask(found...)
}
