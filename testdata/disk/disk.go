// Package disk tells benchmarks what the disk has to do with their figures: how
// often SQLite waited for it, and how long a bare wait takes.
package disk

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// Syncs gives how often SQLite has waited for the disk so far, in all stores of the
// process that were opened after the first call.
func Syncs() int64 {
	count()
	return syncs.Load()
}

var syncs atomic.Int64

// count puts itself between SQLite and the file system.
var count = sync.OnceFunc(func() {
	tls := libc.NewTLS()
	under := sqlite3.Xsqlite3_vfs_find(tls, 0)
	shim := libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_vfs{})))
	*vfs(shim) = *vfs(under)
	name, err := libc.CString("counting")
	if err != nil {
		panic(err)
	}
	vfs(shim).FzName = name
	open := *(*func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32)(unsafe.Pointer(&struct{ uintptr }{vfs(under).FxOpen}))
	var mu sync.Mutex
	counting := map[uintptr]uintptr{} // the methods of a kind of file, to those that count
	vfs(shim).FxOpen = pointer(func(tls *libc.TLS, v, name, file uintptr, flags int32, out uintptr) int32 {
		rc := open(tls, v, name, file, flags, out)
		methods := (*uintptr)(at(file))
		if rc != sqlite3.SQLITE_OK || *methods == 0 {
			return rc
		}
		mu.Lock()
		defer mu.Unlock()
		if counting[*methods] == 0 {
			counting[*methods] = countingMethods(tls, *methods)
		}
		*methods = counting[*methods]
		return rc
	})
	sqlite3.Xsqlite3_vfs_register(tls, shim, 1)
})

func countingMethods(tls *libc.TLS, methods uintptr) uintptr {
	copied := libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_io_methods{})))
	table := (*sqlite3.Tsqlite3_io_methods)(at(copied))
	*table = *(*sqlite3.Tsqlite3_io_methods)(at(methods))
	under := *(*func(*libc.TLS, uintptr, int32) int32)(unsafe.Pointer(&struct{ uintptr }{table.FxSync}))
	table.FxSync = pointer(func(tls *libc.TLS, file uintptr, flags int32) int32 {
		syncs.Add(1)
		return under(tls, file, flags)
	})
	return copied
}

func vfs(p uintptr) *sqlite3.Tsqlite3_vfs { return (*sqlite3.Tsqlite3_vfs)(at(p)) }

// at gives memory of SQLite, which Go does not move.
func at(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

// pointer gives a function as SQLite keeps it. It is never let go.
func pointer[F any](f F) uintptr {
	kept := &struct{ f F }{f}
	pointers.Store(kept, true)
	return *(*uintptr)(unsafe.Pointer(kept))
}

var pointers sync.Map

// File is a file of a fixed size, written page by page.
type File struct {
	file *os.File
	page []byte
	next int64
}

const pages = 1000

// NewFile makes a file that has its full size.
func NewFile(tb testing.TB) *File {
	tb.Helper()
	file, err := os.Create(filepath.Join(tb.TempDir(), "floor"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = file.Close() })
	f := &File{file: file, page: make([]byte, 4096)}
	for range pages {
		f.Sync(tb)
	}
	return f
}

// Sync writes 4 KiB and waits until they are on disk: what no commit can be below.
func (f *File) Sync(tb testing.TB) {
	tb.Helper()
	if _, err := f.file.WriteAt(f.page, f.next%pages*4096); err != nil {
		tb.Fatal(err)
	}
	f.next++
	if err := f.file.Sync(); err != nil {
		tb.Fatal(err)
	}
}
