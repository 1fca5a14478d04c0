package sqloracle_test

import (
	"bufio"
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	goora "github.com/sijms/go-ora/v2"

	"github.com/weir-engine/weir/tasks/sqloracle"
	"github.com/weir-engine/weir/tasks/taskstest"
	"github.com/weir-engine/weir/testdata/servers/oracle"
)

// million is the table of W9.
func million(b *testing.B) *oracle.Server {
	b.Helper()
	const rows = 1_000_000
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return oracle.New(b, oracle.Config{Script: []oracle.Case{{Match: "from million", Result: oracle.Result{
		Columns: []oracle.Column{
			{Name: "ID", Type: oracle.Number}, {Name: "NAME", Type: oracle.Varchar2, Size: 40},
			{Name: "AMOUNT", Type: oracle.Number, Precision: 12, Scale: 2}, {Name: "CREATED", Type: oracle.Date},
		},
		Count: rows, Row: func(i int) []any {
			n := strconv.Itoa(i)
			return []any{n, "the name of row " + n, n + ".25", when}
		},
	}}}})
}

// BenchmarkW9 fetches a million rows of four columns from the protocol test server,
// which takes its share of the processors: into a file by the driver, and by bare
// go-ora through database/sql, into the same file and into nothing. They take turns,
// so that all of them have the same of what else the machine does; the metrics are
// seconds of time and of processors (the server's share included), and what the
// driver takes of what go-ora does for the same file.
func BenchmarkW9(b *testing.B) {
	server := million(b)
	driver := sqloracle.New(sqloracle.Config{})
	b.Cleanup(driver.Close)
	db, err := sql.Open("oracle", goora.BuildUrl(server.Host, server.Port, "XEPDB1", "scott", "tiger", map[string]string{"PREFETCH_ROWS": "500", "TIMEOUT": "600"}))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	runners := []*runner{
		{name: "weir", run: func() {
			_, err := taskstest.NewExecution(b).Run(b.Context(), b, driver, to(server, map[string]any{
				"fetch": "SELECT * FROM million", "file_path": "million.ndjson", "total_timeout": "10m",
			}))
			if err != nil {
				b.Fatal(err)
			}
		}},
		{name: "go-ora", run: func() { bare(b, db, intoFile) }},
		{name: "unwritten", run: func() { bare(b, db, func(b *testing.B, rows *sql.Rows) { each(b, rows, func([]any) {}) }) }},
	}
	taskstest.Peak(b, func() {
		for round := 0; b.Loop(); round++ {
			for i := range runners {
				runners[(round+i)%len(runners)].measure(b)
			}
		}
	})
	for _, r := range runners {
		b.ReportMetric(r.time.Seconds()/float64(b.N), r.name+"-s")
		b.ReportMetric(r.cpu.Seconds()/float64(b.N), r.name+"-cpu-s")
	}
	b.ReportMetric(runners[0].time.Seconds()/runners[1].time.Seconds(), "x-go-ora")
	b.ReportMetric(runners[0].cpu.Seconds()/runners[1].cpu.Seconds(), "x-go-ora-cpu")
}

// runner is one of those that take turns.
type runner struct {
	name      string
	run       func()
	time, cpu time.Duration
}

func (r *runner) measure(b *testing.B) {
	b.Helper()
	used := func() time.Duration {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			b.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	runtime.GC() // nobody pays for what another left
	start, before := time.Now(), used()
	r.run()
	r.time += time.Since(start)
	r.cpu += used() - before
}

// intoFile writes rows as one does with what Go comes with.
func intoFile(b *testing.B, rows *sql.Rows) {
	b.Helper()
	file, err := os.Create(filepath.Join(b.TempDir(), "million.ndjson"))
	if err != nil {
		b.Fatal(err)
	}
	out := bufio.NewWriterSize(file, 1<<16)
	enc := json.NewEncoder(out)
	each(b, rows, func(values []any) {
		row := struct {
			ID      json.Number
			NAME    any
			AMOUNT  json.Number
			CREATED string
		}{json.Number(values[0].(string)), values[1], json.Number(values[2].(string)), values[3].(time.Time).Format("2006-01-02T15:04:05")}
		if err := enc.Encode(row); err != nil {
			b.Fatal(err)
		}
	})
	if err := out.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := file.Close(); err != nil {
		b.Fatal(err)
	}
}

// bare queries with go-ora as its own documents say, and with as many rows at a
// time as the driver.
func bare(b *testing.B, db *sql.DB, use func(*testing.B, *sql.Rows)) {
	b.Helper()
	rows, err := db.QueryContext(b.Context(), "SELECT * FROM million")
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	use(b, rows)
}

func each(b *testing.B, rows *sql.Rows, use func([]any)) {
	b.Helper()
	values := make([]any, 4)
	for rows.Next() {
		if err := rows.Scan(&values[0], &values[1], &values[2], &values[3]); err != nil {
			b.Fatal(err)
		}
		use(values)
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
}

// It is not parallel: it looks at the memory of the whole process, in which the server
// is, too. Rows of a hundred megabytes go into a file and take a few.
func TestMemoryIsBounded(t *testing.T) {
	const rows, wide, most = 50_000, 2000, 40 << 20
	var peak atomic.Uint64
	text := strings.Repeat("x", wide)
	server := oracle.New(t, oracle.Config{Script: []oracle.Case{{Match: "from wide", Result: oracle.Result{
		Columns: []oracle.Column{{Name: "ID", Type: oracle.Number}, {Name: "TEXT", Type: oracle.Varchar2}},
		Count:   rows, Row: func(i int) []any {
			if i%500 == 0 {
				peak.Store(max(peak.Load(), inUse()))
			}
			return []any{i, text}
		},
	}}}})
	runtime.GC()
	start := inUse()
	out := must(t, to(server, map[string]any{"fetch": "SELECT * FROM wide", "file_path": "wide.csv", "total_timeout": "10m"}))
	if size := out["size"].(int64); size < rows*wide {
		t.Errorf("the file has %d bytes", size)
	}
	if used := int64(peak.Load()) - int64(start); used > most { //nolint:gosec // sizes
		t.Errorf("%d MiB were in use", used>>20)
	}
}

// inUse is what objects take, dead ones that were not swept yet included.
func inUse() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
