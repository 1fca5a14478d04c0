// Package s3 is the task type S3: it reads and writes objects in Amazon S3 and in
// services that speak its protocol.
//
// Files are never held in memory: parts are sent from and written into the file
// where they lie, so a transfer takes about 1 MiB for each of `concurrency` parts
// under way, whatever the sizes. A download stands under a temporary name until it
// is whole. What a crash interrupted goes on where it was: a small file in the
// files directory, locked by the one who works with it, keeps the id of an upload
// and which parts are done.
package s3

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/tasks"
)

// Config says where auth_methods "aws_cli" and "default" find what the AWS command
// line would use. The zero Config means this machine and the user that the process
// runs as.
type Config struct {
	// ConfigFile and CredentialsFile are the AWS command line's; empty means what
	// AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE say, or those in ~/.aws.
	ConfigFile, CredentialsFile string

	copyLimit, copyPart int64         // 0: copyAtOnce, copyParts
	longestPause        time.Duration // between two tries of a request; 0: the SDK's
}

// New gives the driver.
func New(c Config) tasks.Driver { return driver{config: c, kept: &kept{}} }

type driver struct {
	config Config
	kept   *kept
}

func (driver) Spec() tasks.Spec { return spec() }

func (d driver) Open(_ context.Context, in schema.Inputs, env tasks.Env) (tasks.Session, error) {
	op, err := spec().Check(in)
	if err != nil {
		return nil, err
	}
	s := &session{op: op.Name, in: in, env: env, config: d.config, kept: d.kept, secrets: secret.NewRedactor(),
		regions: map[string]string{}, clients: map[string]*s3.Client{}}
	for _, f := range spec().Inputs.Fields {
		if f.Sensitive {
			s.secrets.Add(in.Secret(f.Name))
		}
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	if s.transport, err = newTransport(s); err != nil {
		return nil, err
	}
	return s, nil
}

// session is one operation.
type session struct {
	op      string
	in      schema.Inputs
	env     tasks.Env
	config  Config
	kept    *kept
	secrets *secret.Redactor

	endpoint    *url.URL // nil: AWS
	concurrency int
	partSize    int64

	transport *http.Transport
	aws       aws.Config
	copied    bool        // a move has begun to have an effect
	reached   atomic.Bool // the server has answered

	mu      sync.Mutex
	regions map[string]string     // of buckets that are in others than the given one
	clients map[string]*s3.Client // by region
}

// check finds what is wrong with the inputs beyond their types.
func (s *session) check() error {
	for _, check := range []func() error{s.checkTarget, s.checkAccess, s.checkSizes, s.checkOperation} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) checkTarget() error {
	for _, name := range []string{"bucket", "to_bucket"} {
		bucket := s.in.String(name)
		rest := strings.Trim(bucket, inBuckets)
		if rest == "/" && strings.HasPrefix(bucket, "arn:") {
			rest = "" // of an access point
		}
		if s.in.Has(name) && (bucket == "" || rest != "") {
			return &tasks.Error{Kind: tasks.Invalid, Input: name, Message: name + " is no name of a bucket",
				Hint: "it has letters, digits, dots and dashes; what follows a slash goes into `key` or `prefix`"}
		}
	}
	for _, name := range []string{"key", "to_key"} {
		if s.in.Has(name) {
			if err := checkKey(name, s.in.String(name)); err != nil {
				return err
			}
		}
	}
	for _, key := range s.in.Strings("keys") {
		if err := checkKey("keys", key); err != nil {
			return err
		}
	}
	return nil
}

// inBuckets is what a bucket's name, alias or ARN has in it.
const inBuckets = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:"

func checkKey(input, key string) error {
	const most = 1024
	switch {
	case key == "":
		return &tasks.Error{Kind: tasks.Invalid, Input: input, Message: input + " is empty"}
	case len(key) > most:
		return &tasks.Error{Kind: tasks.Invalid, Input: input, Message: input + " has more than 1,024 bytes, which no key may have"}
	case strings.ToValidUTF8(key, "") != key:
		return &tasks.Error{Kind: tasks.Invalid, Input: input, Message: input + " is no text in UTF-8"}
	}
	return nil
}

func (s *session) checkSizes() error {
	n := s.in.Int("concurrency")
	if n < 1 || n > mostAtOnce {
		return &tasks.Error{Kind: tasks.Invalid, Input: "concurrency", Message: "concurrency is not between 1 and 256"}
	}
	s.concurrency = int(n)
	if s.partSize = s.in.Int("part_size"); s.partSize < leastPart || s.partSize > 5<<30 {
		return &tasks.Error{Kind: tasks.Invalid, Input: "part_size", Message: "part_size is not between 5 MiB (5242880) and 5 GiB"}
	}
	for _, name := range []string{"limit", "max_pages"} {
		if s.in.Int(name) < 0 {
			return &tasks.Error{Kind: tasks.Invalid, Input: name, Message: name + " is negative"}
		}
	}
	return nil
}

// checkOperation finds inputs that do not fit together.
func (s *session) checkOperation() error {
	switch s.op {
	case cmdUpload:
		return s.checkUpload()
	case cmdDelete:
		return s.checkDelete()
	case cmdAbortUploads:
		return s.checkAbortUploads()
	case cmdCopy, cmdMove:
		return s.checkCopy()
	case cmdPresign:
		return s.checkPresign()
	case cmdDownload:
		_, err := parseRange(s.in)
		return err
	}
	return nil
}

// Close implements [tasks.Session].
func (s *session) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

// Do implements [tasks.Session].
func (s *session) Do(ctx context.Context) (tasks.Result, error) {
	run := map[string]func(context.Context) (map[string]any, error){
		cmdListBuckets:  s.listBuckets,
		cmdList:         s.list,
		cmdMetadata:     s.metadata,
		cmdDownload:     s.download,
		cmdUpload:       s.upload,
		cmdDelete:       s.delete,
		cmdCopy:         s.copy,
		cmdMove:         s.move,
		cmdPresign:      s.presign,
		cmdVersions:     s.versions,
		cmdSync:         s.sync,
		cmdCreateBucket: s.createBucket,
		cmdDeleteBucket: s.deleteBucket,
		cmdAbortUploads: s.abortUploads,
	}[s.op]
	err := s.connect(ctx)
	var out map[string]any
	if err == nil {
		out, err = run(ctx)
	}
	if err != nil {
		return tasks.Result{}, s.fault(ctx, err)
	}
	return tasks.Result{Output: out}, nil
}

// mask keeps secrets that were found on the way out of everything shown.
func (s *session) mask(found ...secret.Value) {
	for _, v := range found {
		s.secrets.Add(v)
	}
	s.env.Mask(found...)
}

// fault makes the error that the user sees of any error of this session. What
// servers say may repeat what they were sent.
func (s *session) fault(ctx context.Context, err error) error {
	e := s.explain(ctx, err)
	if e.Auth {
		s.kept.forget(s.roleID()) // another try begins with new ones
		e.Unsent = !s.copied
	}
	e.Message, e.Hint = s.secrets.String(e.Message), s.secrets.String(e.Hint)
	return e
}

// target is the place that the inputs name.
func (s *session) target() place {
	return place{bucket: s.in.String("bucket"), key: s.in.String("key"), version: s.in.String("version_id")}
}

// given is a text input for the SDK: nil if there is none.
func (s *session) given(name string) *string {
	if text := s.in.String(name); text != "" {
		return aws.String(text)
	}
	return nil
}

// owner is the account that must own every bucket, nil if that does not matter.
func (s *session) owner() *string { return s.given("expected_bucket_owner") }
