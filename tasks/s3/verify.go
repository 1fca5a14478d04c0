package s3

import (
	"context"
	"crypto/md5"  //nolint:gosec // what ETags are made with
	"crypto/sha1" //nolint:gosec // one of the checksums of S3
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/weir-engine/weir/tasks"
)

// nvme is the polynomial of CRC-64/NVME, reflected.
const nvme = 0x9a6c9329ac4bc9b5

// verify compares a downloaded file with the checksum that the object was stored
// with, or with its ETag if checksums are wanted always. The SDK does so itself for
// what it downloads at once.
func (f *fetch) verify(ctx context.Context, file *os.File) error {
	if f.head == nil || !f.session.summed() || f.size == 0 {
		return nil
	}
	newHash, want := checksumOf(f.head)
	if newHash == nil {
		return f.verifyETag(ctx, file)
	}
	part := f.size
	if sum, _, composite := strings.Cut(want, "-"); composite {
		var err error
		if part, err = f.partSizeOf(ctx, want); err != nil || part == 0 {
			return err
		}
		want = sum
	} else if f.size <= f.session.partSize {
		return nil
	}
	got, err := sumOf(file, f.size, part, newHash, part != f.size || f.head.ChecksumType == types.ChecksumTypeComposite)
	if err != nil {
		return err
	}
	if base64.StdEncoding.EncodeToString(got) != want {
		return corrupt(f.at)
	}
	return nil
}

func corrupt(at place) error {
	return &tasks.Error{Kind: tasks.Unavailable, Input: "key", Message: "the content of " + at.String() + " changed on its way: its checksum does not fit",
		Hint: "if it happens again, the object is damaged where it is stored"}
}

// checksumOf gives the strongest checksum that the object has.
func checksumOf(head *s3.HeadObjectOutput) (func() hash.Hash, string) {
	switch {
	case head.ChecksumSHA256 != nil:
		return sha256.New, *head.ChecksumSHA256
	case head.ChecksumCRC64NVME != nil:
		return func() hash.Hash { return crc64.New(crc64.MakeTable(nvme)) }, *head.ChecksumCRC64NVME
	case head.ChecksumCRC32C != nil:
		return func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }, *head.ChecksumCRC32C
	case head.ChecksumCRC32 != nil:
		return func() hash.Hash { return crc32.NewIEEE() }, *head.ChecksumCRC32
	case head.ChecksumSHA1 != nil:
		return sha1.New, *head.ChecksumSHA1
	}
	return nil, ""
}

// verifyETag compares with the MD5 sum that an ETag mostly is.
func (f *fetch) verifyETag(ctx context.Context, file *os.File) error {
	etag := unquote(f.head.ETag)
	sum, _, composite := strings.Cut(etag, "-")
	encrypted := f.head.ServerSideEncryption != "" && f.head.ServerSideEncryption != types.ServerSideEncryptionAes256
	if f.session.in.String("checksums") != checksumsAlways || encrypted || len(sum) != 2*md5.Size {
		return nil
	}
	part := f.size
	if composite {
		var err error
		if part, err = f.partSizeOf(ctx, etag); err != nil || part == 0 {
			return err
		}
	}
	got, err := sumOf(file, f.size, part, md5.New, composite)
	if err != nil {
		return err
	}
	if hex.EncodeToString(got) != sum {
		return corrupt(f.at)
	}
	return nil
}

// partSizeOf gives the size of the parts that the object was uploaded in, 0 if they
// are not all alike. sum ends with their number.
func (f *fetch) partSizeOf(ctx context.Context, sum string) (int64, error) {
	_, number, _ := strings.Cut(sum, "-")
	count, err := strconv.ParseInt(number, 10, 64)
	if err != nil || count < 1 {
		return 0, nil
	}
	return f.session.firstPart(ctx, f.at, f.size, count)
}

// firstPart gives the size of an object's first part, 0 if the others have another.
func (s *session) firstPart(ctx context.Context, at place, size, count int64) (int64, error) {
	in := &s3.HeadObjectInput{Bucket: aws.String(at.bucket), Key: aws.String(at.key), PartNumber: aws.Int32(1), ExpectedBucketOwner: s.owner()}
	if at.version != "" {
		in.VersionId = aws.String(at.version)
	}
	head, err := ask(ctx, s, at, (*s3.Client).HeadObject, in)
	if err != nil {
		if ctx.Err() != nil {
			return 0, err
		}
		return 0, nil // not every service knows parts of objects
	}
	part := aws.ToInt64(head.ContentLength)
	if part <= 0 || (size+part-1)/part != count {
		return 0, nil
	}
	return part, nil
}

// sumOf gives the sum of a file, or the sum of the sums of its parts.
func sumOf(file io.ReaderAt, size, part int64, newHash func() hash.Hash, composite bool) ([]byte, error) {
	all := newHash()
	buffer := make([]byte, copyBuffer)
	for offset := int64(0); offset < size; offset += part {
		one := all
		if composite {
			one = newHash()
		}
		section := io.NewSectionReader(file, offset, min(part, size-offset))
		if _, err := io.CopyBuffer(one, onlyReader{section}, buffer); err != nil {
			return nil, fmt.Errorf("read what was downloaded: %w", err)
		}
		if composite {
			all.Write(one.Sum(nil))
		}
	}
	return all.Sum(nil), nil
}
