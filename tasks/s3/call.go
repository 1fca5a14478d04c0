package s3

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// place names a bucket, an object or a version of one.
type place struct{ bucket, key, version string }

// String gives bucket/key, for people.
func (p place) String() string {
	text := p.bucket
	if p.key != "" {
		text += "/" + p.key
	}
	if p.version != "" {
		text += " (version " + p.version + ")"
	}
	return text
}

// requestError is a request that failed, and what it was about.
type requestError struct {
	at  place
	err error
}

func (e *requestError) Error() string { return e.err.Error() }
func (e *requestError) Unwrap() error { return e.err }

// request is a method of the SDK's client.
type request[In, Out any] func(*s3.Client, context.Context, *In, ...func(*s3.Options)) (*Out, error)

// ask makes one request where the bucket is. A bucket of AWS in another region is
// looked for there, once.
func ask[In, Out any](ctx context.Context, s *session, at place, op request[In, Out], in *In) (*Out, error) {
	client := s.client(at.bucket)
	out, err := op(client, ctx, in)
	if err == nil || statusOf(err) != 0 {
		s.reached.Store(true)
	}
	if err != nil && s.follow(ctx, client, at.bucket, err) {
		rewind(in)
		out, err = op(s.client(at.bucket), ctx, in)
	}
	if err != nil {
		return nil, &requestError{at: at, err: err}
	}
	return out, nil
}

// rewind makes a content ready to be sent again.
func rewind(in any) {
	if put, ok := in.(*s3.PutObjectInput); ok {
		if body, ok := put.Body.(io.Seeker); ok {
			_, _ = body.Seek(0, io.SeekStart)
		}
	}
}

// client gives the client for the region of a bucket.
func (s *session) client(bucket string) *s3.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	region, moved := s.regions[bucket]
	if !moved {
		region = s.aws.Region
	}
	c := s.clients[region]
	if c == nil {
		c = s.newClient(region, moved)
		s.clients[region] = c
	}
	return c
}

func (s *session) newClient(region string, moved bool) *s3.Client {
	return s3.NewFromConfig(s.aws, func(o *s3.Options) {
		o.Region = region
		if s.endpoint != nil {
			o.BaseEndpoint = aws.String(s.endpoint.String())
			o.UsePathStyle = true
			if moved {
				o.BaseEndpoint = aws.String(s.endpoint.Scheme + "://s3." + region + "." + awsDomain(s.endpoint.Hostname()))
			}
		}
		if s.in.Has("path_style") {
			o.UsePathStyle = s.in.Bool("path_style")
		}
		if !s.summed() {
			o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
			o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		} else {
			o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenSupported
			o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenSupported
		}
		if !s.onAWS() {
			o.APIOptions = append(o.APIOptions, unsignedEncoding)
		}
		o.Retryer = s.newRetryer()
		o.DisableLogOutputChecksumValidationSkipped = true
		o.DisableMultiRegionAccessPoints = true
	})
}

// unsignedEncoding leaves out the header Accept-Encoding, which Google's service
// changes on its way, so that a signature of it never fits. The transport asks for no
// compression anyway.
func unsignedEncoding(stack *middleware.Stack) error {
	const id = "DisableAcceptEncodingGzip"
	if _, there := stack.Finalize.Get(id); !there {
		return nil
	}
	_, err := stack.Finalize.Remove(id)
	return err
}

// newRetryer makes requests again that may go well then, a few times: not those to
// a server that is not trusted, nor to one that was never reached.
func (s *session) newRetryer() aws.Retryer {
	const tries = 5
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = tries
		if s.config.longestPause > 0 {
			o.MaxBackoff = s.config.longestPause
		}
		o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
			var op *net.OpError
			if ofTLS(err) != nil || !s.reached.Load() && errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect") {
				return aws.FalseTernary
			}
			return aws.UnknownTernary
		})}, o.Retryables...)
	})
}

// summed tells whether contents are sent and checked with checksums where the
// protocol does without.
func (s *session) summed() bool {
	switch s.in.String("checksums") {
	case checksumsAlways:
		return true
	case checksumsRequired:
		return false
	}
	return s.onAWS()
}

// plainSum has a request that cannot do without a checksum send the one of old,
// Content-MD5, which all services know, unless contents have checksums anyway.
func plainSum[In, Out any](s *session, op request[In, Out]) request[In, Out] {
	if s.summed() {
		return op
	}
	return func(c *s3.Client, ctx context.Context, in *In, options ...func(*s3.Options)) (*Out, error) {
		return op(c, ctx, in, append(options, func(o *s3.Options) {
			o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
				_, noSetUp := stack.Initialize.Remove("AWSChecksum:SetupInputContext")
				_, noSum := stack.Finalize.Remove("AWSChecksum:ComputeInputPayloadChecksum")
				return errors.Join(noSetUp, noSum, smithyhttp.AddContentChecksumMiddleware(stack))
			})
		})...)
	}
}

// onAWS tells whether the service is AWS itself.
func (s *session) onAWS() bool { return s.endpoint == nil || awsDomain(s.endpoint.Hostname()) != "" }

// awsDomain gives the domain of AWS that a host is in, "" if in none.
func awsDomain(host string) string {
	for _, domain := range []string{"amazonaws.com", "amazonaws.com.cn"} {
		if strings.HasSuffix(host, "."+domain) {
			return domain
		}
	}
	return ""
}

// follow remembers the region that AWS says a bucket is in, and tells whether that
// is news.
func (s *session) follow(ctx context.Context, client *s3.Client, bucket string, err error) bool {
	if bucket == "" || !s.onAWS() {
		return false
	}
	switch statusOf(err) {
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusBadRequest, http.StatusForbidden:
	default:
		return false
	}
	region := regionIn(err)
	if region == "" && (isRedirect(err) || codeOf(err) == "AuthorizationHeaderMalformed") {
		// The answer to this request has it always, whether it goes well or not.
		out, err := client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &bucket})
		if region = regionIn(err); err == nil {
			region = aws.ToString(out.BucketRegion)
		}
	}
	if region == "" || region == client.Options().Region || !isRegion(region) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.regions[bucket] = region
	return true
}

func isRedirect(err error) bool {
	status := statusOf(err)
	return status == http.StatusMovedPermanently || status == http.StatusTemporaryRedirect
}

// regionIn is the region that an answer says the bucket is in, "" if it does not.
func regionIn(err error) string {
	var (
		answer *awshttp.ResponseError
		api    smithy.APIError
	)
	if errors.As(err, &answer) && answer.Response != nil {
		if region := answer.Response.Header.Get("X-Amz-Bucket-Region"); region != "" {
			return region
		}
	}
	if errors.As(err, &api) {
		// "the region 'us-east-1' is wrong; expecting 'eu-west-1'"
		_, region, _ := strings.Cut(api.ErrorMessage(), "expecting '")
		region, _, _ = strings.Cut(region, "'")
		return region
	}
	return ""
}

// isRegion keeps what an answer says from becoming another host.
func isRegion(text string) bool {
	return strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
