package sqloracle_test

import (
	"bufio"
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
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
// go-ora through database/sql, into the same file and into nothing.
func BenchmarkW9(b *testing.B) {
	server := million(b)
	b.Run("weir", func(b *testing.B) {
		driver := sqloracle.New(sqloracle.Config{})
		b.Cleanup(driver.Close)
		cpu(b, func() {
			taskstest.Benchmark(b, driver, to(server, map[string]any{
				"fetch": "SELECT * FROM million", "file_path": "million.ndjson", "total_timeout": "10m",
			}))
		})
	})
	b.Run("go-ora", func(b *testing.B) {
		bare(b, server, func(b *testing.B, rows *sql.Rows) {
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
		})
	})
	b.Run("go-ora, nothing written", func(b *testing.B) {
		bare(b, server, func(b *testing.B, rows *sql.Rows) { each(b, rows, func([]any) {}) })
	})
}

// cpu adds the processor time of the whole process, the server's share included:
// unlike the time that passes, it does not depend on what else the machine does.
func cpu(b *testing.B, run func()) {
	b.Helper()
	used := func() time.Duration {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			b.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	before := used()
	run()
	b.ReportMetric((used()-before).Seconds()/float64(b.N), "cpu-s/op")
}

// bare queries with go-ora as its own documents say, and with as many rows at a
// time as the driver.
func bare(b *testing.B, server *oracle.Server, use func(*testing.B, *sql.Rows)) {
	b.Helper()
	db, err := sql.Open("oracle", goora.BuildUrl(server.Host, server.Port, "XEPDB1", "scott", "tiger", map[string]string{"PREFETCH_ROWS": "500", "TIMEOUT": "600"}))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	cpu(b, func() {
		taskstest.Peak(b, func() {
			for b.Loop() {
				func() {
					rows, err := db.QueryContext(b.Context(), "SELECT * FROM million")
					if err != nil {
						b.Fatal(err)
					}
					defer rows.Close()
					use(b, rows)
				}()
			}
		})
	})
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
