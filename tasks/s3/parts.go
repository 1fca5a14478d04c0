package s3

import (
	"context"
	"crypto/md5" //nolint:gosec // what ETags are made with
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/weir-engine/weir/tasks"
)

const (
	// mostParts is how many parts an upload may have.
	mostParts = 10000
	// abortTime is how long a service that was reached may take to forget a failed
	// upload.
	abortTime = 5 * time.Second
	// abortQuiet is how long parts are waited for that were on their way.
	abortQuiet = 2 * time.Second
)

// partsHeader is what an upload in parts is.
type partsHeader struct {
	ID       string    `json:"id"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	Source   string    `json:"source,omitempty"` // the ETag of what is copied
	Part     int64     `json:"part"`
	Summed   bool      `json:"summed"`
}

// sentPart is a part that the service has.
type sentPart struct {
	N     int32  `json:"n"`
	ETag  string `json:"etag"`
	CRC32 string `json:"crc32,omitempty"`
}

// partsUpload is one upload in parts.
type partsUpload struct {
	session *session
	at      place
	object  s3.CreateMultipartUploadInput // what it shall be
	meter   *meter
	header  partsHeader
	memory  *state[partsHeader, sentPart]
	parts   []sentPart // by number, from 1

	// transfer brings one part to the service.
	transfer func(ctx context.Context, n int32) (sentPart, error)
	// unchanged tells whether the source is still what it was.
	unchanged func() error
}

// sendParts uploads a file in parallel parts.
func (s *session) sendParts(ctx context.Context, at place, c content, kind string, m *meter) (sent, error) {
	u := &partsUpload{session: s, at: at, object: s.objectInput(at, kind), meter: m, header: partsHeader{
		Size: c.size, Modified: c.info.ModTime().UTC(), Part: partSizeFor(c.size, s.partSize), Summed: s.summed(),
	}}
	u.transfer = func(ctx context.Context, n int32) (sentPart, error) { return u.send(ctx, c, n) }
	u.unchanged = func() error { return c.unchanged(s.env.Files) }
	done, err := u.do(ctx, "upload", c.name)
	done.contentType = kind
	return done, err
}

// do uploads all parts and puts them together. It goes on where an interrupted try
// was if the source has not changed since.
func (u *partsUpload) do(ctx context.Context, doing, source string) (done sent, err error) {
	// What the object shall be is part of which upload it is.
	what, err := json.Marshal(u.object)
	if err != nil {
		return sent{}, fmt.Errorf("name the upload: %w", err)
	}
	id := nameOf(doing, u.session.in.String("endpoint"), source, string(what))
	var old *partsHeader
	u.memory, old = openState[partsHeader, sentPart](ctx, u.session.env.Files, temporary+id+".state", func(h partsHeader) bool {
		want := u.header
		want.ID = h.ID
		return h == want && h.ID != ""
	})
	defer func() {
		if err != nil && (u.memory != nil && tasks.Again(ctx) || !u.abort(ctx, u.header.ID)) {
			u.memory.leave() // another try goes on with it, or ends it
			return
		}
		u.memory.end()
	}()
	resumed, err := u.begin(ctx, old)
	if err != nil {
		return sent{}, err
	}
	var out *s3.CompleteMultipartUploadOutput
	if resumed == 0 || u.alive(ctx) {
		out, err = u.run(ctx)
	} else {
		err = &types.NoSuchUpload{}
	}
	if done, ok := u.completed(ctx, err); ok {
		return sent{etag: done.ETag, version: done.VersionId, resumed: resumed}, nil
	}
	if codeOf(err) == "NoSuchUpload" && resumed > 0 { // somebody has ended it meanwhile
		u.meter.restart()
		resumed = 0
		if err = u.create(ctx); err == nil {
			out, err = u.run(ctx)
		}
	}
	if err != nil {
		return sent{}, err
	}
	return sent{etag: out.ETag, version: out.VersionId, resumed: resumed}, nil
}

// partSizeFor raises the size of parts so far that there are not too many.
func partSizeFor(size, wanted int64) int64 {
	const unit = 1 << 20
	least := (size + mostParts - 1) / mostParts
	return max(wanted, (least+unit-1)/unit*unit)
}

// objectInput is what the inputs say that an object shall be.
func (s *session) objectInput(at place, kind string) s3.CreateMultipartUploadInput {
	return s3.CreateMultipartUploadInput{
		Bucket: &at.bucket, Key: &at.key, ContentType: &kind,
		CacheControl: s.given("cache_control"), ContentDisposition: s.given("content_disposition"), ContentEncoding: s.given("content_encoding"),
		Metadata: s.textMap("metadata"), Tagging: s.tagging(), StorageClass: types.StorageClass(s.in.String("storage_class")),
		ServerSideEncryption: types.ServerSideEncryption(s.in.String("encryption")), SSEKMSKeyId: s.given("kms_key_id"),
		ExpectedBucketOwner: s.owner(),
	}
}

// begin takes up an interrupted upload, or starts one. old is one that does not fit
// any more.
func (u *partsUpload) begin(ctx context.Context, old *partsHeader) (resumed int64, err error) {
	if old != nil && old.ID != "" {
		u.abort(ctx, old.ID)
	}
	if u.memory == nil || u.memory.header.ID == "" {
		return 0, u.create(ctx)
	}
	u.header = u.memory.header
	u.parts = make([]sentPart, u.count())
	for _, p := range u.memory.parts {
		if p.N < 1 || p.N > u.count() || u.parts[p.N-1].N != 0 {
			continue
		}
		u.parts[p.N-1] = p
		resumed += u.sizeOf(p.N)
	}
	u.meter.add(resumed, meterStep)
	return resumed, nil
}

func (u *partsUpload) create(ctx context.Context) error {
	in := u.object
	if u.header.Summed {
		in.ChecksumAlgorithm = types.ChecksumAlgorithmCrc32
	}
	out, err := ask(ctx, u.session, u.at, (*s3.Client).CreateMultipartUpload, &in)
	if err != nil {
		return err
	}
	u.header.ID = aws.ToString(out.UploadId)
	u.parts = make([]sentPart, u.count())
	if err := u.memory.begin(u.header); err != nil { // an upload needs no room here
		u.session.env.Warn("the upload begins anew if it is interrupted: " + u.session.classify(ctx, err).Message)
		u.memory.end()
		u.memory = nil
	}
	return nil
}

func (u *partsUpload) count() int32 {
	return int32((u.header.Size + u.header.Part - 1) / u.header.Part) //nolint:gosec // at most mostParts
}

func (u *partsUpload) sizeOf(n int32) int64 {
	return min(u.header.Part, u.header.Size-int64(n-1)*u.header.Part)
}

// run sends the parts that are missing and puts all together.
func (u *partsUpload) run(ctx context.Context) (*s3.CompleteMultipartUploadOutput, error) {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(u.session.concurrency)
	for n := int32(1); n <= u.count() && groupCtx.Err() == nil; n++ {
		if u.parts[n-1].N == 0 {
			group.Go(func() error { return u.one(groupCtx, n) })
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := u.unchanged(); err != nil {
		return nil, err
	}
	return u.complete(ctx)
}

// one brings a part to the service, and notes that it is there.
func (u *partsUpload) one(ctx context.Context, n int32) error {
	part, err := u.transfer(ctx, n)
	if err != nil {
		return err
	}
	u.parts[n-1] = part // a place of its own
	u.meter.add(u.sizeOf(n), meterStep)
	u.memory.add(part)
	return nil
}

func (u *partsUpload) send(ctx context.Context, c content, n int32) (sentPart, error) {
	size := u.sizeOf(n)
	in := &s3.UploadPartInput{
		Bucket: &u.at.bucket, Key: &u.at.key, UploadId: &u.header.ID, PartNumber: &n, ExpectedBucketOwner: u.session.owner(),
		Body: c.section(int64(n-1)*u.header.Part, size), ContentLength: &size,
	}
	if u.header.Summed {
		in.ChecksumAlgorithm = types.ChecksumAlgorithmCrc32
	}
	out, err := ask(ctx, u.session, u.at, (*s3.Client).UploadPart, in)
	if err != nil {
		return sentPart{}, err
	}
	return sentPart{N: n, ETag: aws.ToString(out.ETag), CRC32: aws.ToString(out.ChecksumCRC32)}, nil
}

func (u *partsUpload) complete(ctx context.Context) (*s3.CompleteMultipartUploadOutput, error) {
	done := make([]types.CompletedPart, len(u.parts))
	for i, p := range u.parts {
		done[i] = types.CompletedPart{PartNumber: aws.Int32(p.N), ETag: aws.String(p.ETag)}
		if p.CRC32 != "" {
			done[i].ChecksumCRC32 = aws.String(p.CRC32)
		}
	}
	return ask(ctx, u.session, u.at, (*s3.Client).CompleteMultipartUpload, &s3.CompleteMultipartUploadInput{
		Bucket: &u.at.bucket, Key: &u.at.key, UploadId: &u.header.ID, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
		IfMatch: u.session.ifMatch(), IfNoneMatch: u.session.ifNoneMatch(), ExpectedBucketOwner: u.session.owner(),
	})
}

// alive tells whether the service still has the upload. One that has not may cut parts
// off instead of saying so.
func (u *partsUpload) alive(ctx context.Context) bool { return codeOf(u.list(ctx)) != "NoSuchUpload" }

// list asks for what the service has of the upload, and gives the error alone.
func (u *partsUpload) list(ctx context.Context) error {
	_, err := ask(ctx, u.session, u.at, (*s3.Client).ListParts, &s3.ListPartsInput{
		Bucket: &u.at.bucket, Key: &u.at.key, UploadId: &u.header.ID, MaxParts: aws.Int32(1), ExpectedBucketOwner: u.session.owner(),
	})
	return err
}

// completed tells whether the upload was completed already, by a request whose answer
// was lost: there is no upload any more, and the object is what its parts make.
func (u *partsUpload) completed(ctx context.Context, err error) (*s3.HeadObjectOutput, bool) {
	code := codeOf(err)
	if code == "PreconditionFailed" { // perhaps by that very object
		code = codeOf(u.list(ctx))
	}
	if code != "NoSuchUpload" {
		return nil, false
	}
	all := md5.New() //nolint:gosec // what ETags are made with
	for _, p := range u.parts {
		sum, err := hex.DecodeString(strings.Trim(p.ETag, `"`))
		if err != nil || len(sum) == 0 {
			return nil, false
		}
		all.Write(sum)
	}
	head, err := u.session.head(ctx, u.at)
	return head, err == nil && unquote(head.ETag) == fmt.Sprintf("%x-%d", all.Sum(nil), len(u.parts))
}

// abort has the service forget an upload and its parts, also if the context has
// ended, and tells whether it has.
func (u *partsUpload) abort(ctx context.Context, id string) bool {
	if id == "" {
		return true
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTime)
	defer cancel()
	err := u.session.abortUpload(ctx, u.at, id, abortQuiet)
	if err != nil {
		u.session.env.Warn("an upload that failed could not be cleaned up, and takes room in the bucket until it is made again, or its rules or abort_uploads remove it: " +
			u.session.secrets.String(u.session.explain(ctx, err).Message))
	}
	return err == nil
}
