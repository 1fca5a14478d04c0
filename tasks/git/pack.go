package git

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
)

const (
	// maxDelta is the largest object that is built from another one, and so has to
	// be in memory: git itself never does it above 512 MiB (core.bigFileThreshold).
	maxDelta = 512 << 20
	// packCache is how many bytes of delta bases each reader keeps.
	packCache = 16 * cache.MiByte
)

var errPack = errors.New("the server sent a damaged pack")

// pack is what a server sent, with an index of it. go-git's own parser unpacks
// each object twice or keeps them all in memory; this one reads the stream once
// and verifies each object's id.
type pack struct {
	spool   *spool
	data    io.ReaderAt
	entries []packEntry
	index   map[plumbing.Hash]int32
}

// packEntry is one object of a pack.
type packEntry struct {
	hash   plumbing.Hash
	offset int64
	size   int64 // of the object; until it is resolved, of the delta
	base   int32 // the entry that it is a delta of, or one of the below
	kind   plumbing.ObjectType
}

const (
	noBase      int32 = -1
	baseUnknown int32 = -2 // a delta of an object that is named by its id
)

// packOptions say how to read a pack.
type packOptions struct {
	root     *os.Root      // for the file of a large one
	received func(n int64) // is told how many bytes came so far
	// enough is asked once, when all commits and tags have come and other objects
	// follow, whether to leave those out; nil means no.
	enough func(p *pack) bool
}

// readPack reads a pack as it comes.
func readPack(ctx context.Context, r io.Reader, o packOptions) (*pack, error) {
	p := &pack{spool: &spool{root: o.root}, index: map[plumbing.Hash]int32{}}
	scan := &packScanner{in: bufio.NewReaderSize(io.TeeReader(r, p.spool), 1<<16)}
	named, err := p.scan(ctx, scan, o)
	if err == nil {
		p.data, err = p.spool.reader()
	}
	if err == nil {
		err = p.resolve(ctx, named)
	}
	if err != nil {
		return nil, errors.Join(err, p.spool.Close())
	}
	return p, nil
}

func (p *pack) Close() error { return p.spool.Close() }

// scan indexes the stream. It gives the deltas whose base is named by its id.
func (p *pack) scan(ctx context.Context, scan *packScanner, o packOptions) (map[plumbing.Hash][]int32, error) {
	const often = 1 << 8
	asked := o.enough == nil
	count, err := scan.header()
	if err != nil {
		return nil, err
	}
	named := map[plumbing.Hash][]int32{}
	for i := range int32(count) {
		if i%often == 0 {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			o.received(scan.offset)
		}
		h, err := scan.object()
		if err != nil {
			return nil, damaged(err)
		}
		if !asked && h.kind != plumbing.CommitObject && h.kind != plumbing.TagObject {
			asked = true
			if p.data, err = p.spool.reader(); err != nil {
				return nil, err
			}
			if o.enough(p) {
				return named, nil
			}
		}
		e := packEntry{offset: h.offset, size: h.size, base: noBase, kind: h.kind}
		sink := io.Discard
		hasher := plumbing.Hasher{}
		switch h.kind {
		case plumbing.OFSDeltaObject:
			base, ok := p.at(h.offset - h.back)
			if !ok {
				return nil, damaged(errors.New("a delta without its base"))
			}
			e.base = base
		case plumbing.REFDeltaObject:
			e.base = baseUnknown
			named[h.base] = append(named[h.base], i)
		default:
			hasher = plumbing.NewHasher(h.kind, h.size)
			sink = hasher
		}
		if err := scan.inflate(sink, h.size); err != nil {
			return nil, damaged(err)
		}
		if e.base == noBase {
			e.hash = hasher.Sum()
			p.index[e.hash] = i
		}
		p.entries = append(p.entries, e)
	}
	o.received(scan.offset)
	return named, nil
}

// complete tells whether all history from these on is there, to where it ends.
func (p *pack) complete(from []plumbing.Hash, shallows map[plumbing.Hash]bool) bool {
	r := p.reader()
	seen := map[plumbing.Hash]bool{}
	for len(from) > 0 {
		h := from[len(from)-1]
		from = from[:len(from)-1]
		if seen[h] {
			continue
		}
		seen[h] = true
		o, err := r.object(h)
		if err != nil {
			return false
		}
		switch o.Type() {
		case plumbing.CommitObject:
			c := &object.Commit{}
			if c.Decode(o) != nil {
				return false
			}
			if !shallows[h] {
				from = append(from, c.ParentHashes...)
			}
		case plumbing.TagObject:
			t := &object.Tag{}
			if t.Decode(o) != nil {
				return false
			}
			from = append(from, t.Target)
		default:
			return false
		}
	}
	return true
}

// damaged marks an error of the pack's format, and leaves those of its transport.
func damaged(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", errPack, io.ErrUnexpectedEOF)
	}
	var corrupt flate.CorruptInputError
	if errors.Is(err, zlib.ErrHeader) || errors.Is(err, zlib.ErrChecksum) || errors.As(err, &corrupt) {
		return fmt.Errorf("%w: %w", errPack, err)
	}
	return err
}

// at finds the entry that begins at an offset: they are in that order.
func (p *pack) at(offset int64) (int32, bool) {
	low, high := 0, len(p.entries)
	for low < high {
		mid := (low + high) / 2
		if p.entries[mid].offset < offset {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low < len(p.entries) && p.entries[low].offset == offset {
		return int32(low), true //nolint:gosec // a pack has fewer entries than that
	}
	return 0, false
}

// resolve finds out the ids of all deltas, going from each base to what builds on
// it, so that no more than one chain is in memory.
func (p *pack) resolve(ctx context.Context, named map[plumbing.Hash][]int32) error {
	children := map[int32][]int32{}
	for i, e := range p.entries {
		if e.base >= 0 {
			children[e.base] = append(children[e.base], int32(i)) //nolint:gosec // see at
		}
	}
	if len(children) == 0 && len(named) == 0 {
		return nil
	}
	r := &packReader{pack: p}
	var expand func(i int32, content []byte) error
	expand = func(i int32, content []byte) error {
		kind, hash := p.entries[i].kind, p.entries[i].hash
		for _, child := range append(children[i], named[hash]...) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			e := &p.entries[child]
			if !e.kind.IsDelta() {
				continue
			}
			result, err := r.apply(child, content)
			if err != nil {
				return err
			}
			e.base, e.kind, e.size = i, kind, int64(len(result))
			e.hash = plumbing.ComputeHash(kind, result)
			p.index[e.hash] = child
			if err := expand(child, result); err != nil {
				return err
			}
		}
		return nil
	}
	for i := range p.entries {
		i := int32(i) //nolint:gosec // see at
		e := p.entries[i]
		if e.base != noBase || len(children[i]) == 0 && len(named[e.hash]) == 0 {
			continue
		}
		content, err := r.content(i)
		if err != nil {
			return err
		}
		if err := expand(i, content); err != nil {
			return err
		}
	}
	for _, e := range p.entries {
		if e.kind.IsDelta() {
			return fmt.Errorf("%w: a delta without its base", errPack)
		}
	}
	return nil
}

// packReader reads objects of a pack for one goroutine.
type packReader struct {
	pack  *pack
	in    packScanner
	bases *cache.BufferLRU
}

func (p *pack) reader() *packReader {
	return &packReader{pack: p, bases: cache.NewBufferLRU(packCache)}
}

// content gives an entry's whole content.
func (r *packReader) content(i int32) ([]byte, error) {
	e := r.pack.entries[i]
	if r.bases != nil {
		if b, ok := r.bases.Get(e.offset); ok {
			return b, nil
		}
	}
	if e.base == noBase {
		if e.size > maxDelta {
			return nil, fmt.Errorf("an object of %d bytes is too large for memory", e.size)
		}
		var b bytes.Buffer
		b.Grow(int(min(e.size, spoolMemory)))
		err := r.raw(i, &b)
		return b.Bytes(), err
	}
	base, err := r.content(e.base)
	if err != nil {
		return nil, err
	}
	if r.bases != nil {
		r.bases.Put(r.pack.entries[e.base].offset, base)
	}
	return r.apply(i, base)
}

// apply gives the object that a delta makes of its base.
func (r *packReader) apply(i int32, base []byte) ([]byte, error) {
	var delta bytes.Buffer
	if err := r.raw(i, &delta); err != nil {
		return nil, err
	}
	_, n := binary.Uvarint(delta.Bytes())
	size, m := binary.Uvarint(delta.Bytes()[max(n, 0):])
	if n <= 0 || m <= 0 || size > maxDelta {
		return nil, fmt.Errorf("%w: a delta of an impossible size", errPack)
	}
	result, err := packfile.PatchDelta(base, delta.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPack, err)
	}
	return result, nil
}

// raw unpacks what is stored for an entry: its content or its delta.
func (r *packReader) raw(i int32, w io.Writer) error {
	const buffer = 1 << 14
	e := r.pack.entries[i]
	section := io.NewSectionReader(r.pack.data, e.offset, math.MaxInt64-e.offset)
	if r.in.in == nil {
		r.in.in = bufio.NewReaderSize(section, buffer)
	} else {
		r.in.in.Reset(section)
	}
	r.in.offset = e.offset
	h, err := r.in.object()
	if err != nil {
		return damaged(err)
	}
	return r.in.inflate(w, h.size)
}

func (r *packReader) object(h plumbing.Hash) (plumbing.EncodedObject, error) {
	i, ok := r.pack.index[h]
	if !ok {
		return nil, plumbing.ErrObjectNotFound
	}
	content, err := r.content(i)
	if err != nil {
		return nil, err
	}
	o := &plumbing.MemoryObject{}
	o.SetType(r.pack.entries[i].kind)
	_, err = o.Write(content)
	return o, err
}

func (r *packReader) copyTo(w io.Writer, h plumbing.Hash) error {
	i, ok := r.pack.index[h]
	if !ok {
		return plumbing.ErrObjectNotFound
	}
	if r.pack.entries[i].base == noBase {
		return r.raw(i, w)
	}
	content, err := r.content(i)
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}

// packScanner reads the format of packs.
type packScanner struct {
	in     *bufio.Reader
	offset int64 // of the next byte
	zip    io.ReadCloser
	buffer []byte
}

// packHeader is what stands before an object.
type packHeader struct {
	kind   plumbing.ObjectType
	offset int64
	size   int64         // of what follows, unpacked
	back   int64         // OFS delta: how far before this one its base begins
	base   plumbing.Hash // REF delta
}

// Read and ReadByte count; the inflater takes no byte too many from a ByteReader.
func (s *packScanner) Read(b []byte) (int, error) {
	n, err := s.in.Read(b)
	s.offset += int64(n)
	return n, err
}

// ReadByte implements [io.ByteReader].
func (s *packScanner) ReadByte() (byte, error) {
	b, err := s.in.ReadByte()
	if err == nil {
		s.offset++
	}
	return b, err
}

// header reads the beginning of a pack and gives the number of its objects.
func (s *packScanner) header() (int32, error) {
	var h struct{ Magic, Version, Count uint32 }
	if err := binary.Read(s, binary.BigEndian, &h); err != nil {
		return 0, damaged(err)
	}
	if h.Magic != 0x5041434b || h.Version != 2 && h.Version != 3 || h.Count > math.MaxInt32 {
		return 0, fmt.Errorf("%w: it is none", errPack)
	}
	return int32(h.Count), nil
}

// object reads what stands before an object.
func (s *packScanner) object() (packHeader, error) {
	h := packHeader{offset: s.offset}
	c, err := s.ReadByte()
	if err != nil {
		return h, err
	}
	h.kind, h.size = plumbing.ObjectType(c>>4&7), int64(c&15)
	for shift := 4; c&0x80 != 0; shift += 7 {
		if c, err = s.ReadByte(); err != nil {
			return h, err
		}
		if shift > 56 {
			return h, fmt.Errorf("%w: an object of an impossible size", errPack)
		}
		h.size |= int64(c&0x7f) << shift
	}
	switch h.kind {
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.BlobObject, plumbing.TagObject:
	case plumbing.OFSDeltaObject:
		h.back, err = s.distance()
	case plumbing.REFDeltaObject:
		_, err = io.ReadFull(s, h.base[:])
	default:
		err = fmt.Errorf("%w: an object of an unknown kind", errPack)
	}
	return h, err
}

// distance reads how far back a base is, in git's own variable-width form.
func (s *packScanner) distance() (int64, error) {
	c, err := s.ReadByte()
	if err != nil {
		return 0, err
	}
	n := int64(c & 0x7f)
	for c&0x80 != 0 {
		if c, err = s.ReadByte(); err != nil {
			return 0, err
		}
		if n > math.MaxInt64>>8 {
			return 0, fmt.Errorf("%w: a base at an impossible distance", errPack)
		}
		n = (n+1)<<7 | int64(c&0x7f)
	}
	return n, nil
}

// inflate unpacks the next bytes, which must be size bytes then.
func (s *packScanner) inflate(w io.Writer, size int64) error {
	const buffer = 1 << 15
	var err error
	if s.zip == nil {
		s.buffer = make([]byte, buffer)
		s.zip, err = zlib.NewReader(s)
	} else {
		err = s.zip.(zlib.Resetter).Reset(s, nil)
	}
	if err != nil {
		return err
	}
	// io.CopyBuffer would not use the buffer with some writers.
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(s.zip, size+1), s.buffer)
	if err == nil && n != size {
		return fmt.Errorf("%w: an object of another size than it says", errPack)
	}
	return err
}
