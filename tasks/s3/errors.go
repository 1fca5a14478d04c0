package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/weir-engine/weir/tasks"
)

// explain makes the error that the user sees: what was being done, to what, and
// what went wrong.
func (s *session) explain(ctx context.Context, err error) *tasks.Error {
	e := s.classify(ctx, err)
	doing := s.op
	at := s.target()
	var request *requestError
	if errors.As(err, &request) && request.at.bucket != "" {
		at = request.at
	}
	if at.bucket != "" {
		doing += " " + at.String()
	}
	e.Message = oneLine(doing + ": " + e.Message)
	return e
}

// classify gives a fresh error with a kind. Its message is one line.
func (s *session) classify(ctx context.Context, err error) *tasks.Error {
	var own *tasks.Error
	if errors.As(err, &own) {
		e := *own
		return &e
	}
	switch ctx.Err() {
	case nil:
	case context.DeadlineExceeded:
		return &tasks.Error{Kind: tasks.Timeout, Message: "it was not done in time", Err: err}
	default:
		return &tasks.Error{Kind: tasks.Timeout, Message: "it was ended before it was done", Err: err}
	}
	for _, f := range []func(error) *tasks.Error{ofTLS, ofCredentials, s.ofNetwork, s.ofCode, s.ofAnswer, ofMachine} {
		if e := f(err); e != nil {
			e.Err = err
			return e
		}
	}
	return &tasks.Error{Kind: tasks.Permanent, Message: oneLine(err.Error()), Err: err}
}

func ofTLS(err error) *tasks.Error {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		record   tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &unknown):
		return &tasks.Error{Kind: tasks.Denied, Input: "ca_cert",
			Message: "the server's certificate was issued by an authority that is not trusted",
			Hint:    "give the authority's certificate as `ca_cert`"}
	case errors.As(err, &hostname):
		return &tasks.Error{Kind: tasks.Denied, Input: "endpoint",
			Message: "the server's certificate is for another host: " + oneLine(hostname.Error()),
			Hint:    "check `endpoint`, and `path_style` if the bucket's name stands in the host"}
	case errors.As(err, &invalid):
		return &tasks.Error{Kind: tasks.Denied, Message: "the server's certificate is not valid: " + oneLine(invalid.Error())}
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return &tasks.Error{Kind: tasks.Permanent, Input: "endpoint", Message: "the server does not speak TLS on this port",
			Hint: "if it has no TLS, its URL begins with http://"}
	}
	return nil
}

// ofProxy knows what a proxy says instead of the service.
func ofProxy(err error) *tasks.Error {
	const refused = http.StatusProxyAuthRequired
	var op *net.OpError
	switch {
	case statusOf(err) == refused, statusOf(err) == 0 && strings.HasSuffix(err.Error(), http.StatusText(refused)):
		return &tasks.Error{Kind: tasks.Denied, Input: "proxy_password", Message: "the proxy wants credentials, or does not take these",
			Hint: "check `proxy_username` and `proxy_password`"}
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return &tasks.Error{Kind: tasks.Unavailable, Input: "proxy", Message: "connect to the proxy: " + reasonOf(op.Err)}
	}
	return nil
}

// placeOf names the input that says where a request went.
func (s *session) placeOf(err error) string {
	var op *smithy.OperationError
	switch {
	case errors.As(err, &op) && op.Service() == sts.ServiceID:
		return "sts_endpoint"
	case s.endpoint == nil:
		return "region"
	}
	return "endpoint"
}

func (s *session) ofNetwork(err error) *tasks.Error {
	var (
		api     smithy.APIError
		dns     *net.DNSError
		op      *net.OpError
		timeout interface{ Timeout() bool }
		at      *url.Error
	)
	if errors.As(err, &api) && statusOf(err) != http.StatusProxyAuthRequired {
		return nil
	}
	if e := ofProxy(err); e != nil {
		return e
	}
	input := s.placeOf(err)
	switch {
	case errors.As(err, &dns):
		kind, reason := tasks.Unavailable, "the look-up failed"
		if dns.IsTimeout {
			kind = tasks.Timeout
		}
		if dns.IsNotFound {
			reason = "there is no such host"
		}
		return &tasks.Error{Kind: kind, Input: input, Message: fmt.Sprintf("look up host %q: %s", dns.Name, reason),
			Hint: "check `" + input + "`, and this machine's name servers"}
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return &tasks.Error{Kind: tasks.Timeout, Message: "the server did not answer in time",
			Hint: "raise `connect_timeout` or `read_timeout`, or check the way to the server"}
	case errors.As(err, &op) && op.Op == "dial":
		address := "the server"
		if op.Addr != nil {
			address = op.Addr.String()
		}
		return &tasks.Error{Kind: tasks.Unavailable, Input: input, Message: fmt.Sprintf("connect to %s: %s", address, reasonOf(op.Err)),
			Hint: "check host and port, that the server is running, and firewalls and proxies on the way"}
	case errors.As(err, &op):
		return &tasks.Error{Kind: tasks.Unavailable, Message: "the connection broke off: " + reasonOf(op.Err)}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &at) && errors.Is(at.Err, io.EOF):
		return &tasks.Error{Kind: tasks.Unavailable, Message: "the server's answer broke off"}
	}
	return nil
}

func reasonOf(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return oneLine(err.Error())
}

// statusOf is the HTTP status of a failed request, 0 if there was no answer.
func statusOf(err error) int {
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) && answer.Response != nil {
		return answer.HTTPStatusCode()
	}
	return 0
}

// codeOf is the code of the error that the service gave, "" if it gave none.
func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// isForeign knows answers 404 and 405 of what is no S3 service: they name nothing that
// is missing, which S3 leaves out for HEAD alone, or forbid what is not about an object.
func isForeign(err error) bool {
	var op *smithy.OperationError
	if !errors.As(err, &op) {
		return false
	}
	switch codeOf(err) {
	case "NotFound":
		return !strings.HasPrefix(op.Operation(), "Head")
	case "MethodNotAllowed":
		return op.Operation() != "HeadObject" && op.Operation() != "GetObject"
	}
	return false
}

// answer is one way to see an error of the service.
type answer struct {
	kind                 tasks.Kind
	message, hint, input string
	auth                 bool
}

// ofCode knows what the service says itself.
func (s *session) ofCode(err error) *tasks.Error {
	code := codeOf(err)
	if code == "" || isForeign(err) {
		return nil
	}
	for _, answers := range []map[string]answer{refused(), absent(), clashing(), passing(), wrong()} {
		if a, ok := answers[code]; ok {
			e := &tasks.Error{Kind: a.kind, Message: a.message, Hint: a.hint, Input: a.input, Auth: a.auth}
			s.complete(e, code, err)
			return e
		}
	}
	return nil
}

// complete adds what only the request and its answer know.
func (s *session) complete(e *tasks.Error, code string, err error) {
	var api smithy.APIError
	errors.As(err, &api)
	switch code {
	case "AccessDenied", "Forbidden", "AllAccessDisabled":
		e.Message += ": " + actionOf(err)
		if detail := api.ErrorMessage(); strings.Contains(detail, "not authorized to perform") {
			e.Message += ": " + oneLine(detail)
		}
		if owner := s.owner(); owner != nil {
			e.Input, e.Hint = "expected_bucket_owner", e.Hint+"; or see whether the bucket belongs to account "+oneLine(*owner)
		}
	case "RequestTimeTooSkewed":
		var answer *awshttp.ResponseError
		if errors.As(err, &answer) && answer.Response != nil {
			e.Message += "; the server's says " + oneLine(answer.Response.Header.Get("Date"))
		}
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "InvalidArgument", "InvalidRequest",
		"InvalidBucketName", "MalformedXML", "NotImplemented", "InvalidTag":
		if detail := api.ErrorMessage(); detail != "" {
			e.Message += ": " + oneLine(detail)
		}
	}
}

// refused is when the credentials are no good, or may not.
func refused() map[string]answer {
	const check = "check `access_key_id` and `secret_access_key`"
	denied := answer{kind: tasks.Denied, message: "access is denied", hint: "allow it in the user's or role's policy or in the bucket's"}
	ended := answer{kind: tasks.Denied, auth: true, message: "the temporary credentials have ended or are not valid", hint: "get new ones, with their `session_token`", input: "session_token"}
	return map[string]answer{
		"AccessDenied": denied, "Forbidden": denied, "AllAccessDisabled": denied, "AccountProblem": denied,
		"InvalidAccessKeyId":    {kind: tasks.Denied, auth: true, message: "the service does not know the access key id", hint: check, input: "access_key_id"},
		"SignatureDoesNotMatch": {kind: tasks.Denied, auth: true, message: "the secret access key does not belong to the access key id", hint: check, input: "secret_access_key"},
		"InvalidClientTokenId":  {kind: tasks.Denied, auth: true, message: "the service that gives out roles does not know the access key id", hint: check, input: "access_key_id"},
		"ExpiredToken":          ended, "InvalidToken": ended, "TokenRefreshRequired": ended, "ExpiredTokenException": ended,
		"InvalidIdentityToken": {kind: tasks.Denied, auth: true, message: "the OpenID Connect token is refused", hint: "check the role's identity provider, audience and the token's age", input: "web_identity_token"},
		"RequestTimeTooSkewed": {kind: tasks.Denied, message: "this machine's clock differs too much from the server's", hint: "set the clock"},
		"InvalidSecurity":      {kind: tasks.Denied, auth: true, message: "the credentials are not valid", hint: check},
	}
}

// absent is when something is not there.
func absent() map[string]answer {
	key := answer{kind: tasks.NotFound, input: "key", message: "there is no such object", hint: "`list` tells which there are"}
	bucket := answer{kind: tasks.NotFound, input: "bucket", message: "there is no such bucket", hint: "`list_buckets` tells which there are"}
	return map[string]answer{
		"NoSuchKey": key, "NotFound": key, "NoSuchBucket": bucket,
		"NoSuchVersion":      {kind: tasks.NotFound, input: "version_id", message: "there is no such version of the object", hint: "`versions` tells which there are"},
		"MethodNotAllowed":   {kind: tasks.NotFound, input: "key", message: "the object was deleted: this version marks that", hint: "`versions` tells which there are"},
		"NoSuchUpload":       {kind: tasks.Conflict, message: "the upload was ended by somebody else"},
		"InvalidObjectState": {kind: tasks.Conflict, input: "key", message: "the object lies in an archive", hint: "restore it first"},
	}
}

// clashing is when something else is there, or has changed.
func clashing() map[string]answer {
	changed := answer{kind: tasks.Conflict, message: "the object is not as it was expected: it exists already, or has changed"}
	return map[string]answer{
		"PreconditionFailed": changed, "ConditionalRequestConflict": changed,
		"BucketAlreadyExists":       {kind: tasks.Conflict, input: "bucket", message: "the bucket's name is taken by another owner", hint: "choose another name"},
		"BucketAlreadyOwnedByYou":   {kind: tasks.Conflict, input: "bucket", message: "the bucket exists already, and is yours"},
		"BucketNotEmpty":            {kind: tasks.Conflict, input: "bucket", message: "the bucket is not empty", hint: "delete its objects first, with all_versions if it keeps versions"},
		"OperationAborted":          {kind: tasks.Conflict, message: "something else is being done to the bucket at the same time"},
		"ObjectParentIsFile":        {kind: tasks.Conflict, input: "key", message: "a part of the key before a slash is an object, and this service keeps objects in directories"},
		"ExistingObjectIsDirectory": {kind: tasks.Conflict, input: "key", message: "the key is a folder, and this service keeps objects in directories"},
	}
}

// passing is what may go well another time.
func passing() map[string]answer {
	busy := answer{kind: tasks.Unavailable, message: "the service is busy or has a fault"}
	broken := answer{kind: tasks.Unavailable, message: "the content changed on its way: its checksum does not fit"}
	return map[string]answer{
		"SlowDown": busy, "ServiceUnavailable": busy, "InternalError": busy, "Throttling": busy, "ThrottlingException": busy, "RequestLimitExceeded": busy,
		"RequestTimeout": {kind: tasks.Unavailable, message: "the service waited too long for the content"},
		"BadDigest":      broken, "XAmzContentSHA256Mismatch": broken, "IncompleteBody": broken, "XAmzContentChecksumMismatch": broken,
	}
}

// wrong is what the inputs are to blame for.
func wrong() map[string]answer {
	const sums = "some services refuse checksums: set `checksums` to `required`"
	region := answer{kind: tasks.Invalid, input: "region", message: "the region is not the bucket's"}
	return map[string]answer{
		"PermanentRedirect": region, "AuthorizationHeaderMalformed": region, "IllegalLocationConstraintException": region,
		"InvalidBucketName":   {kind: tasks.Invalid, input: "bucket", message: "the service takes no such name of a bucket"},
		"KeyTooLongError":     {kind: tasks.Invalid, input: "key", message: "the key is too long for the service"},
		"InvalidRange":        {kind: tasks.Invalid, input: "range", message: "the object has no such bytes"},
		"EntityTooLarge":      {kind: tasks.Invalid, message: "the object is too large for the service"},
		"EntityTooSmall":      {kind: tasks.Permanent, message: "a part is too small for the service", hint: "raise `part_size`"},
		"InvalidPart":         {kind: tasks.Conflict, message: "the service has lost parts of the upload"},
		"InvalidArgument":     {kind: tasks.Invalid, message: "the service refuses an input", hint: sums},
		"InvalidRequest":      {kind: tasks.Invalid, message: "the service refuses the request", hint: sums},
		"MalformedXML":        {kind: tasks.Invalid, message: "the service does not understand the request", hint: sums},
		"NotImplemented":      {kind: tasks.Permanent, message: "the service cannot do that", hint: sums},
		"InvalidStorageClass": {kind: tasks.Invalid, input: "storage_class", message: "the service has no such storage class"},
		"InvalidTag":          {kind: tasks.Invalid, input: "tags", message: "the service refuses the tags"},
	}
}

// actionOf names the right that a request needs, and on what.
func actionOf(err error) string {
	var (
		op      *smithy.OperationError
		request *requestError
	)
	if !errors.As(err, &op) {
		return "the request"
	}
	action := op.Operation()
	names := map[string]string{
		"ListBuckets": "s3:ListAllMyBuckets", "HeadBucket": "s3:ListBucket", "ListObjectsV2": "s3:ListBucket", "ListObjectVersions": "s3:ListBucketVersions",
		"HeadObject": "s3:GetObject", "CopyObject": "s3:GetObject or s3:PutObject", "UploadPartCopy": "s3:GetObject or s3:PutObject",
		"CreateMultipartUpload": "s3:PutObject", "UploadPart": "s3:PutObject", "CompleteMultipartUpload": "s3:PutObject",
		"DeleteObjects": "s3:DeleteObject", "ListMultipartUploads": "s3:ListBucketMultipartUploads",
	}
	name, known := names[action]
	if !known {
		name = "s3:" + action
	}
	if op.Service() != "S3" {
		name = strings.ToLower(op.Service()) + ":" + action
	}
	if errors.As(err, &request) && request.at.bucket != "" {
		name += " on " + request.at.String()
	}
	return name
}

// ofAnswer knows answers by their status, and those that are not S3's at all.
func (s *session) ofAnswer(err error) *tasks.Error {
	var (
		syntax *xml.SyntaxError
		decode *smithy.DeserializationError
	)
	status := statusOf(err)
	switch {
	case status == http.StatusPreconditionFailed:
		e := clashing()["PreconditionFailed"]
		return &tasks.Error{Kind: e.kind, Message: e.message}
	case status == http.StatusRequestedRangeNotSatisfiable:
		return &tasks.Error{Kind: tasks.Invalid, Input: "range", Message: "the object has no such bytes"}
	case status >= http.StatusInternalServerError && status != http.StatusNotImplemented || status == http.StatusTooManyRequests:
		return &tasks.Error{Kind: tasks.Unavailable, Message: fmt.Sprintf("the server answered %d %s", status, http.StatusText(status))}
	case errors.As(err, &syntax), errors.As(err, &decode), isForeign(err), status == http.StatusMovedPermanently && s.endpoint != nil,
		status != 0 && (codeOf(err) == "" || codeOf(err) == "UnknownError"):
		text := "what answers there does not speak S3's protocol"
		if status != 0 {
			text += fmt.Sprintf(" (it answered %d %s)", status, http.StatusText(status))
		}
		return &tasks.Error{Kind: tasks.Permanent, Input: "endpoint", Message: text, Hint: "check host, port and path of `endpoint`: a console or web page has another URL than the API"}
	case codeOf(err) != "":
		var api smithy.APIError
		errors.As(err, &api)
		kind := tasks.Permanent
		if status == http.StatusForbidden || status == http.StatusUnauthorized {
			kind = tasks.Denied
		}
		return &tasks.Error{Kind: kind, Message: oneLine(fmt.Sprintf("the service answered %s: %s", api.ErrorCode(), api.ErrorMessage()))}
	}
	return nil
}

func ofMachine(err error) *tasks.Error {
	var path *fs.PathError
	if !errors.As(err, &path) {
		return nil
	}
	e := &tasks.Error{Kind: tasks.Permanent, Message: fmt.Sprintf("%s %q: %s", path.Op, path.Path, reasonOf(path.Err))}
	if strings.HasPrefix(filepath.Base(path.Path), temporary) {
		e.Message = fmt.Sprintf("%s a file in the files directory: %s", path.Op, reasonOf(path.Err))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Kind = tasks.NotFound
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		e.Hint = "make room in the files directory"
	case strings.Contains(path.Err.Error(), "escapes"), errors.Is(err, fs.ErrInvalid), errors.Is(err, syscall.ENAMETOOLONG):
		e.Kind = tasks.Invalid
		e.Hint = "give a path relative to the files directory, and within it"
	case errors.Is(err, fs.ErrExist), errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ENOTDIR):
		e.Kind = tasks.Conflict
	}
	return e
}

// oneLine makes foreign text fit into a message.
func oneLine(text string) string {
	const enough = 600
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if len(text) > enough {
		text = strings.ToValidUTF8(text[:enough], "") + "..."
	}
	return text
}
