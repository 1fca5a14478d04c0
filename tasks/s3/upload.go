package s3

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/weir-engine/weir/tasks"
)

func (s *session) checkUpload() error {
	for _, name := range []string{"file", "content", "content_base64"} {
		if !s.in.Has(name) {
			continue
		}
		if name == "file" {
			_, err := localPath(s.in.String(name))
			return err
		}
		if _, err := base64.StdEncoding.DecodeString(s.in.String("content_base64")); err != nil {
			return &tasks.Error{Kind: tasks.Invalid, Input: "content_base64", Message: "content_base64 is not in base64"}
		}
		return nil
	}
	return &tasks.Error{Kind: tasks.Invalid, Input: "file", Message: "there is nothing to upload: input file, content or content_base64 is missing"}
}

// content is what is uploaded: random access, so that its parts are sent from where
// they lie, and again if need be.
type content struct {
	io.ReaderAt
	size int64
	info os.FileInfo // nil: no file
	name string
}

func (c content) section(from, size int64) *io.SectionReader {
	return io.NewSectionReader(c, from, size)
}

func (s *session) upload(ctx context.Context) (map[string]any, error) {
	at := place{bucket: s.in.String("bucket"), key: s.in.String("key")}
	c, closer, err := s.content()
	if err != nil {
		return nil, err
	}
	defer closer.Close() //nolint:errcheck // only read
	m := &meter{report: s.env.Progress, message: "uploading " + at.String(), total: c.size}
	sent, err := s.send(ctx, at, c, m)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"bucket": at.bucket, "key": at.key, "size": c.size, "etag": unquote(sent.etag), "content_type": sent.contentType}
	putVersion(out, sent.version)
	if sent.resumed > 0 {
		out["resumed"] = sent.resumed
	}
	return out, nil
}

// content opens what the inputs say to upload.
func (s *session) content() (content, io.Closer, error) {
	if s.in.Has("file") {
		name := s.in.String("file")
		f, info, err := openSource(s.env.Files, name)
		if err != nil {
			return content{}, nil, err
		}
		return content{ReaderAt: f, size: info.Size(), info: info, name: name}, f, nil
	}
	text := []byte(s.in.String("content"))
	if s.in.Has("content_base64") {
		text, _ = base64.StdEncoding.DecodeString(s.in.String("content_base64")) // checked before
	}
	return content{ReaderAt: bytes.NewReader(text), size: int64(len(text))}, io.NopCloser(nil), nil
}

// sent is what came of an upload.
type sent struct {
	etag, version *string
	contentType   string
	resumed       int64
}

// send uploads in one request, or in parts if there is more than one.
func (s *session) send(ctx context.Context, at place, c content, m *meter) (sent, error) {
	kind := s.in.String("content_type")
	if kind == "" {
		kind = guessType(at.key, c)
	}
	if c.size > s.partSize && c.info != nil {
		return s.sendParts(ctx, at, c, kind, m)
	}
	in := &s3.PutObjectInput{
		Bucket: aws.String(at.bucket), Key: aws.String(at.key), Body: c.section(0, c.size), ContentLength: aws.Int64(c.size), ContentType: aws.String(kind),
		CacheControl: s.given("cache_control"), ContentDisposition: s.given("content_disposition"), ContentEncoding: s.given("content_encoding"),
		Metadata: s.textMap("metadata"), Tagging: s.tagging(), StorageClass: types.StorageClass(s.in.String("storage_class")),
		ServerSideEncryption: types.ServerSideEncryption(s.in.String("encryption")), SSEKMSKeyId: s.given("kms_key_id"),
		IfMatch: s.ifMatch(), IfNoneMatch: s.ifNoneMatch(), ExpectedBucketOwner: s.owner(),
	}
	out, err := ask(ctx, s, at, (*s3.Client).PutObject, in)
	if err != nil {
		return sent{}, err
	}
	if err := c.unchanged(s.env.Files); err != nil {
		return sent{}, err
	}
	m.add(c.size, meterStep)
	return sent{etag: out.ETag, version: out.VersionId, contentType: kind}, nil
}

// unchanged tells whether the file is what it was when it was opened.
func (c content) unchanged(files *os.Root) error {
	if c.info == nil {
		return nil
	}
	clean, err := localPath(c.name)
	if err != nil {
		return err
	}
	now, err := files.Stat(clean)
	if err != nil || now.Size() != c.info.Size() || !now.ModTime().Equal(c.info.ModTime()) {
		return &tasks.Error{Kind: tasks.Conflict, Input: "file", Message: oneLine(fmt.Sprintf("file %q changed while it was uploaded", c.name)), Err: err}
	}
	return nil
}

// guessType gives the media type by the key's ending, or by how the content begins.
func guessType(key string, c content) string {
	if kind := knownTypes()[strings.ToLower(path.Ext(key))]; kind != "" {
		return kind
	}
	if kind := mime.TypeByExtension(path.Ext(key)); kind != "" {
		return kind
	}
	const enough = 512
	head := make([]byte, min(enough, c.size))
	n, _ := c.ReadAt(head, 0) // what cannot be read fails when it is sent
	if n == 0 {
		return "application/octet-stream"
	}
	return http.DetectContentType(head[:n])
}

// knownTypes are those that should not depend on the machine.
func knownTypes() map[string]string {
	return map[string]string{
		".csv": "text/csv; charset=utf-8", ".txt": "text/plain; charset=utf-8", ".md": "text/markdown; charset=utf-8", ".json": "application/json",
		".yaml": "application/yaml", ".yml": "application/yaml", ".gz": "application/gzip", ".zip": "application/zip", ".tar": "application/x-tar",
		".parquet": "application/vnd.apache.parquet", ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	}
}

func (s *session) textMap(name string) map[string]string {
	given := s.in.Map(name)
	if len(given) == 0 {
		return nil
	}
	texts := make(map[string]string, len(given))
	for k, v := range given {
		texts[k] = v.(string)
	}
	return texts
}

// tagging is the tags in the form of a header.
func (s *session) tagging() *string {
	tags := url.Values{}
	for k, v := range s.textMap("tags") {
		tags.Set(k, v)
	}
	if len(tags) == 0 {
		return nil
	}
	return aws.String(tags.Encode())
}

func (s *session) ifMatch() *string {
	if etag := strings.Trim(s.in.String("only_if_etag"), `"`); etag != "" {
		return aws.String(`"` + etag + `"`)
	}
	return nil
}

func (s *session) ifNoneMatch() *string {
	if s.in.Bool("only_if_absent") {
		return aws.String("*")
	}
	return nil
}
