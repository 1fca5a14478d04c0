package sqloracle

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	goora "github.com/sijms/go-ora/v2"

	"github.com/weir-engine/weir/tasks"
)

// rowsToFile fetches into a file, which is there when all rows are.
func (s *session) rowsToFile(ctx context.Context, st statement, b binding) (map[string]any, error) {
	name := filepath.ToSlash(s.in.String("file_path"))
	f, err := s.newFile(name)
	if err != nil {
		return nil, err
	}
	defer f.discard()
	to := f.sink(s.in.String("file_format"))
	var got fetched
	err = s.query(ctx, st, b, func(rows *goora.DataSet) error {
		if got, err = s.read(ctx, rows, s.maxRows(), to); err != nil {
			return err
		}
		return to.end(got.columns)
	})
	if err != nil {
		return nil, err
	}
	size, err := f.keep()
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"file": name, "size": size, "columns": abouts(got.columns), "row_count": got.count, "truncated": got.truncated,
	}, nil
}

// newFile is a file under a name of its own until it is kept.
type newFile struct {
	root   *os.Root
	name   string
	hidden string
	file   *os.File
	out    *bufio.Writer
}

func (s *session) newFile(name string) (*newFile, error) {
	var random [6]byte
	_, _ = rand.Read(random[:]) // it never fails
	f := &newFile{root: s.env.Files, name: name}
	f.hidden = path.Join(path.Dir(name), ".weir-"+hex.EncodeToString(random[:]))
	if dir := path.Dir(name); dir != "." {
		if err := s.env.Files.MkdirAll(dir, 0o755); err != nil {
			return nil, badPath(name, err)
		}
	}
	var err error
	if f.file, err = s.env.Files.OpenFile(f.hidden, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644); err != nil {
		return nil, badPath(name, err)
	}
	f.out = bufio.NewWriterSize(f.file, 1<<16)
	return f, nil
}

func badPath(name string, err error) error {
	return &tasks.Error{Kind: tasks.Invalid, Input: "file_path", Err: err,
		Message: fmt.Sprintf("write %q in the files directory: %s", oneLine(name), reasonOfPath(err))}
}

func reasonOfPath(err error) string {
	if p, ok := err.(*os.PathError); ok { //nolint:errorlint // the wrapper itself is meant
		return reasonOf(p.Err)
	}
	return oneLine(err.Error())
}

// keep gives the file its name.
func (f *newFile) keep() (size int64, err error) {
	if err := f.out.Flush(); err != nil {
		return 0, writeError(f.name, err)
	}
	info, err := f.file.Stat()
	if err == nil {
		err = f.file.Close()
	}
	if err == nil {
		err = f.root.Rename(f.hidden, f.name)
	}
	if err != nil {
		return 0, badPath(f.name, err)
	}
	f.file = nil
	return info.Size(), nil
}

func writeError(name string, err error) error {
	return &tasks.Error{Kind: tasks.Permanent, Err: err, Message: fmt.Sprintf("write %q: %s", oneLine(name), reasonOf(err)),
		Hint: "make room in the files directory"}
}

// discard removes what was not kept.
func (f *newFile) discard() {
	if f.file != nil {
		_ = f.file.Close()
		_ = f.root.Remove(f.hidden)
	}
}

// fileSink writes rows.
type fileSink interface {
	sink
	end(columns []column) error
}

func (f *newFile) sink(format string) fileSink {
	if format == "csv" || format == "auto" && strings.EqualFold(path.Ext(f.name), ".csv") {
		return &csvSink{name: f.name, out: csv.NewWriter(f.out)}
	}
	return &jsonSink{name: f.name, out: f.out}
}

// jsonSink writes one object a line, with its keys in the order of the columns.
type jsonSink struct {
	name string
	out  *bufio.Writer
	keys [][]byte
	line bytes.Buffer
}

func (j *jsonSink) add(columns []column, row []any) error {
	if j.keys == nil {
		for _, c := range columns {
			key, err := json.Marshal(c.name)
			if err != nil {
				return err
			}
			j.keys = append(j.keys, append(key, ':'))
		}
	}
	j.line.Reset()
	for i, v := range row {
		if i == 0 {
			j.line.WriteByte('{')
		} else {
			j.line.WriteByte(',')
		}
		j.line.Write(j.keys[i])
		if err := appendJSON(&j.line, v); err != nil {
			return err
		}
	}
	j.line.WriteString("}\n")
	if _, err := j.out.Write(j.line.Bytes()); err != nil {
		return writeError(j.name, err)
	}
	return nil
}

// appendJSON writes a value. Numbers are written as they are.
func appendJSON(b *bytes.Buffer, v any) error {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
		return nil
	case json.Number:
		b.WriteString(string(v))
		return nil
	case string:
		if isPlain(v) {
			b.WriteByte('"')
			b.WriteString(v)
			b.WriteByte('"')
			return nil
		}
	}
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the encoder ends its line
	return nil
}

// isPlain tells whether a text stands in JSON as it is, as most do.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= 0x7F || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func (j *jsonSink) end([]column) error { return nil }

// csvSink writes CSV as RFC 4180 has it. NULL is an empty field.
type csvSink struct {
	name   string
	out    *csv.Writer
	headed bool
	fields []string
}

func (c *csvSink) head(columns []column) error {
	if c.headed {
		return nil
	}
	c.headed = true
	c.fields = make([]string, len(columns))
	for i, column := range columns {
		c.fields[i] = column.name
	}
	return c.write()
}

func (c *csvSink) write() error {
	if err := c.out.Write(c.fields); err != nil {
		return writeError(c.name, err)
	}
	return nil
}

func (c *csvSink) add(columns []column, row []any) error {
	if err := c.head(columns); err != nil {
		return err
	}
	for i, v := range row {
		switch v := v.(type) {
		case nil:
			c.fields[i] = ""
		case string:
			c.fields[i] = v
		case json.Number:
			c.fields[i] = string(v)
		default:
			b, err := json.Marshal(v)
			if err != nil {
				return err
			}
			c.fields[i] = string(b)
		}
	}
	return c.write()
}

func (c *csvSink) end(columns []column) error {
	if err := c.head(columns); err != nil {
		return err
	}
	c.out.Flush()
	if err := c.out.Error(); err != nil {
		return writeError(c.name, err)
	}
	return nil
}
