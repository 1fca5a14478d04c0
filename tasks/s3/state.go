package s3

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// state is the memory of a transfer in parts beyond the end of the process: a file
// whose first line says what the transfer is, and each other one which part is
// done. It is locked as long as the transfer is under way, so that two of the same
// do not meet; the lock ends with the process.
type state[Header any, Part any] struct {
	header Header
	parts  []Part // that an earlier try has done

	files *os.Root
	name  string
	file  *os.File
	mu    sync.Mutex
}

// openState opens or makes the file of that name. It gives nil if another transfer
// has it, or if the files directory cannot be written: then there is no memory.
// fits tells whether an earlier try's header is of the same transfer. One that does
// not is given as old, and the state is fresh then.
func openState[Header, Part any](ctx context.Context, files *os.Root, name string, fits func(Header) bool) (s *state[Header, Part], old *Header) {
	f, err := files.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil
	}
	s = &state[Header, Part]{files: files, name: name, file: f}
	if !lock(ctx, f) || !s.isThere() {
		_ = f.Close()
		return nil, nil
	}
	found, ok := s.read()
	if ok && fits(found) {
		s.header = found
		return s, nil
	}
	if ok {
		old = &found
	}
	s.parts = nil
	return s, old
}

// lock waits a while for the lock: a process that was killed may still be on its way
// out, with writes under way.
func lock(ctx context.Context, f *os.File) bool {
	const patience, often = 5 * time.Second, 20 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(often)
	defer tick.Stop()
	for {
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

// isThere tells whether the locked file is still the one of that name: its last
// user may have removed it.
func (s *state[H, P]) isThere() bool {
	mine, err := s.file.Stat()
	if err != nil {
		return false
	}
	now, err := s.files.Stat(s.name)
	return err == nil && os.SameFile(mine, now)
}

// read takes in what an earlier try wrote. The last line may be cut off.
func (s *state[H, P]) read() (header H, ok bool) {
	lines := bufio.NewReader(io.NewSectionReader(s.file, 0, 1<<30))
	var whole int64
	for n := 0; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		if n == 0 {
			if json.Unmarshal(line, &header) != nil {
				return header, false
			}
			ok = true
		} else {
			var part P
			if json.Unmarshal(line, &part) != nil {
				break
			}
			s.parts = append(s.parts, part)
		}
		whole += int64(len(line))
	}
	if _, err := s.file.Seek(whole, io.SeekStart); err != nil || s.file.Truncate(whole) != nil {
		return header, false
	}
	return header, ok
}

// begin writes what the transfer is, and forgets every earlier one.
func (s *state[H, P]) begin(header H) error {
	if s == nil {
		return nil
	}
	s.header, s.parts = header, nil
	if err := s.file.Truncate(0); err != nil {
		return fmt.Errorf("note the transfer: %w", err)
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("note the transfer: %w", err)
	}
	if err := s.write(header); err != nil {
		return err
	}
	return s.file.Sync()
}

// add writes that a part is done. What cannot be written, for want of room, is
// transferred again by another try. It is safe for concurrent use.
func (s *state[H, P]) add(part P) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.write(part)
}

func (s *state[H, P]) write(v any) error {
	line, err := json.Marshal(v)
	if err == nil {
		_, err = s.file.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("note the transfer: %w", err)
	}
	return nil
}

// leave keeps what was noted for another try.
func (s *state[H, P]) leave() {
	if s != nil {
		_ = s.file.Close()
	}
}

// end forgets the transfer, which is over, one way or the other.
func (s *state[H, P]) end() {
	if s != nil {
		_ = s.files.Remove(s.name)
		_ = s.file.Close()
	}
}
