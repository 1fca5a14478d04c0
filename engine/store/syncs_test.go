package store_test

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// syncs counts how often SQLite has waited for the disk, in all stores of the
// process that were opened after the first call of countSyncs.
var syncs atomic.Int64

// countSyncs puts itself between SQLite and the file system.
var countSyncs = sync.OnceFunc(func() {
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
