package git

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
)

// spoolMemory is how many bytes a spool keeps in memory before it makes a file.
const spoolMemory = 8 << 20

// spool keeps what is written to it: a little in memory, more in a file of the
// files directory that loses its name at once, so that nobody meets it and a
// crash leaves nothing behind.
type spool struct {
	root   *os.Root
	memory []byte
	file   *os.File
	name   string // of a file that could not be removed yet; else empty
	out    *bufio.Writer
}

func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && len(s.memory)+len(p) <= spoolMemory {
		s.memory = append(s.memory, p...)
		return len(p), nil
	}
	if s.file == nil {
		if err := s.spill(); err != nil {
			return 0, err
		}
	}
	return s.out.Write(p)
}

func (s *spool) spill() error {
	const buffer = 1 << 18
	name := ".weir-" + rand.Text()
	file, err := s.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make a temporary file: %w", err)
	}
	if err := s.root.Remove(name); err != nil {
		s.name = name // a system that keeps the names of open files
	}
	s.file, s.out = file, bufio.NewWriterSize(file, buffer)
	_, err = s.out.Write(s.memory)
	s.memory = nil
	return err
}

// reader gives what was written so far.
func (s *spool) reader() (io.ReaderAt, error) {
	if s.file == nil {
		return bytes.NewReader(s.memory), nil
	}
	return s.file, s.out.Flush()
}

func (s *spool) Close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	if s.name != "" {
		err = errors.Join(err, s.root.Remove(s.name))
	}
	s.file, s.name = nil, ""
	return err
}
