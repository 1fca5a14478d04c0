package s3

import (
	"context"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"github.com/weir-engine/weir/tasks"
)

const (
	// meterStep is how many bytes pass between two reports of progress.
	meterStep = 8 << 20
	// bodyTries is how often the rest of a content that broke off is asked for.
	bodyTries = 5
	// copyBuffer is what one part on its way takes of memory.
	copyBuffer = 256 << 10
)

// fetch is the download of one object into one file.
type fetch struct {
	session *session
	at      place
	name    string // of the file
	etag    string
	size    int64
	head    *s3.HeadObjectOutput // nil: nobody asked
	meter   *meter
	durable bool      // wait for the disk before the file gets its name
	mtime   time.Time // zero: now
}

// fetchHeader is what a download in parts is.
type fetchHeader struct {
	ETag string `json:"etag"`
	Size int64  `json:"size"`
	Part int64  `json:"part"`
}

// gotPart is a part that is in the file.
type gotPart struct {
	N   int64  `json:"n"` // from 0
	Sum uint32 `json:"crc32c"`
}

// run downloads, and gives how many bytes an interrupted try had done.
func (f *fetch) run(ctx context.Context) (resumed int64, err error) {
	if f.size > f.session.partSize {
		return f.parts(ctx)
	}
	t, err := newTarget(f.session.env.Files, f.name)
	if err != nil {
		return 0, err
	}
	defer t.discard()
	if err := f.whole(ctx, t); err != nil {
		return 0, err
	}
	return 0, f.finish(ctx, t)
}

// finish checks a complete file and gives it its name.
func (f *fetch) finish(ctx context.Context, t *target) error {
	if err := f.verify(ctx, t.File); err != nil {
		return err
	}
	if !f.mtime.IsZero() {
		if err := f.session.env.Files.Chtimes(t.temp, f.mtime, f.mtime); err != nil {
			return fileError(f.name, err)
		}
	}
	if f.durable {
		return t.commit()
	}
	return t.rename()
}

// whole downloads the object at once.
func (f *fetch) whole(ctx context.Context, t *target) error {
	if f.size == 0 {
		return nil
	}
	done, err := f.stream(ctx, t, 0, nil)
	for try := 1; err != nil && f.again(ctx, err, try); try++ {
		var n int64
		n, err = f.stream(ctx, t, done, &byteRange{from: done, last: f.size - 1})
		done += n
	}
	return err
}

// part downloads the bytes from offset up to end, and gives their sum.
func (f *fetch) part(ctx context.Context, w io.WriterAt, offset, end int64) (uint32, error) {
	sum := newPartSum()
	for try := 1; ; try++ {
		n, err := f.stream(ctx, summing{w, sum}, offset, &byteRange{from: offset, last: end - 1})
		offset += n
		if err == nil || !f.again(ctx, err, try) {
			return sum.Sum32(), err
		}
	}
}

// newPartSum is how it is known again that a part is in the file.
func newPartSum() hash.Hash32 { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }

// summing adds what is written, from the first byte to the last, to a sum.
type summing struct {
	io.WriterAt
	sum hash.Hash
}

func (s summing) WriteAt(p []byte, offset int64) (int, error) {
	n, err := s.WriterAt.WriteAt(p, offset)
	s.sum.Write(p[:n])
	return n, err
}

// stream makes one request and writes what comes of it at an offset. It gives how
// many bytes came; without an error those are all.
func (f *fetch) stream(ctx context.Context, w io.WriterAt, offset int64, wanted *byteRange) (int64, error) {
	got, err := f.session.get(ctx, f.at, f.etag, wanted)
	if err != nil {
		if statusOf(err) == http.StatusPreconditionFailed {
			return 0, changed(f.at, err)
		}
		return 0, err
	}
	defer got.Body.Close() //nolint:errcheck // only read
	length := f.size - offset
	if wanted != nil {
		length = wanted.last + 1 - wanted.from
		if got.ContentRange == nil && length != f.size {
			return 0, &tasks.Error{Kind: tasks.Permanent, Message: "the service ignores ranges", Hint: "raise `part_size` above the object's size"}
		}
	}
	buffer := make([]byte, min(copyBuffer, max(length, 1)))
	n, err := io.CopyBuffer(onlyWriter{f.meter, io.NewOffsetWriter(w, offset)}, onlyReader{io.LimitReader(got.Body, length+1)}, buffer)
	if err == nil && n != length {
		err = io.ErrUnexpectedEOF
	}
	if n > length {
		return 0, changed(f.at, nil)
	}
	if err != nil {
		return n, &requestError{at: f.at, err: err}
	}
	return n, nil
}

func changed(at place, cause error) error {
	return &tasks.Error{Kind: tasks.Conflict, Input: "key", Message: at.String() + " changed while it was downloaded", Err: cause, Hint: "download it again"}
}

// again waits a moment if another request may bring what is missing.
func (f *fetch) again(ctx context.Context, err error, try int) bool {
	if ctx.Err() != nil || try >= bodyTries {
		return false
	}
	e := f.session.classify(ctx, err)
	var request *requestError
	// Requests that failed were tried again by the SDK already.
	if e.Kind != tasks.Unavailable && e.Kind != tasks.Timeout || !errors.As(err, &request) || statusOf(err) >= http.StatusBadRequest {
		return false
	}
	timer := time.NewTimer(time.Duration(try*try) * 50 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// parts downloads in parallel, and goes on where an interrupted try was.
func (f *fetch) parts(ctx context.Context) (resumed int64, err error) {
	s := f.session
	id := nameOf("download", s.in.String("endpoint"), f.at.bucket, f.at.key, f.at.version, f.name)
	header := fetchHeader{ETag: f.etag, Size: f.size, Part: s.partSize}
	memory, _ := openState[fetchHeader, gotPart](ctx, s.env.Files, temporary+id+".state", func(h fetchHeader) bool { return h == header && f.etag != "" })
	var t *target
	if memory == nil {
		t, err = newTarget(s.env.Files, f.name)
	} else {
		t, err = openTarget(s.env.Files, f.name, id, 0)
	}
	defer func() {
		if err != nil && memory != nil && t != nil && tasks.Again(ctx) {
			_ = t.Close()
			memory.leave()
			return
		}
		if t != nil {
			t.discard()
		}
		memory.end()
	}()
	if err != nil {
		return 0, err
	}
	done, err := f.doneBefore(t, memory, header)
	if err != nil {
		return 0, err
	}
	for n := range done {
		resumed += min(s.partSize, f.size-n*s.partSize)
	}
	f.meter.add(resumed, meterStep)
	if err := f.fill(ctx, t, memory, done); err != nil {
		return 0, err
	}
	return resumed, f.finish(ctx, t)
}

// doneBefore gives the parts that an interrupted try has left behind, if the file is
// still there; if not, it starts anew.
func (f *fetch) doneBefore(t *target, memory *state[fetchHeader, gotPart], header fetchHeader) (map[int64]bool, error) {
	done := map[int64]bool{}
	info, err := t.Stat()
	if err != nil {
		return nil, fileError(f.name, err)
	}
	if memory != nil && memory.header == header && info.Size() == f.size {
		return done, f.look(t, memory.parts, done)
	}
	// Without the content that it had, and with all the room that it needs.
	err = errors.Join(t.Truncate(0), t.Truncate(f.size))
	if err == nil && memory != nil {
		err = memory.begin(header)
	}
	return done, err
}

// look finds out which of the parts that were noted are in the file in truth: a
// power cut may have lost some.
func (f *fetch) look(t *target, parts []gotPart, done map[int64]bool) error {
	size := f.session.partSize
	buffer := make([]byte, copyBuffer)
	for _, p := range parts {
		sum := newPartSum()
		section := io.NewSectionReader(t, p.N*size, min(size, f.size-p.N*size))
		if _, err := io.CopyBuffer(sum, onlyReader{section}, buffer); err != nil {
			return fileError(f.name, err)
		}
		if sum.Sum32() == p.Sum {
			done[p.N] = true
		}
	}
	return nil
}

// fill downloads the parts that are not done.
func (f *fetch) fill(ctx context.Context, t *target, memory *state[fetchHeader, gotPart], done map[int64]bool) error {
	size := f.session.partSize
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(f.session.concurrency)
	for i := int64(0); i*size < f.size && ctx.Err() == nil; i++ {
		if done[i] {
			continue
		}
		group.Go(func() error {
			sum, err := f.part(ctx, t, i*size, min(f.size, (i+1)*size))
			if err != nil {
				return err
			}
			memory.add(gotPart{N: i, Sum: sum})
			return nil
		})
	}
	return group.Wait()
}

// onlyWriter counts what passes. It hides that its writer could do more, so that
// the given buffer is used.
type onlyWriter struct {
	meter *meter
	next  io.Writer
}

func (w onlyWriter) Write(p []byte) (int, error) {
	n, err := w.next.Write(p)
	if w.meter != nil {
		w.meter.add(int64(n), meterStep)
	}
	return n, err
}

type onlyReader struct{ io.Reader }
