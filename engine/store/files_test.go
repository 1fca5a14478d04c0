package store_test

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"modernc.org/sqlite"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
)

// edit changes the database behind the store's back.
func edit(tb testing.TB, dir string, statements ...string) *sql.DB {
	tb.Helper()
	connector, err := sqlite.NewConnector("file:" + filepath.Join(dir, "weir.db") + "?_pragma=busy_timeout(10000)")
	if err != nil {
		tb.Fatal(err)
	}
	db := sql.OpenDB(connector)
	tb.Cleanup(func() { _ = db.Close() })
	for _, statement := range statements {
		if _, err := db.ExecContext(tb.Context(), statement); err != nil {
			tb.Fatalf("%s: %v", statement, err)
		}
	}
	return db
}

// TestSwappedRows moves ciphertexts to other rows: none may be read there.
func TestSwappedRows(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"another connection": `UPDATE connection_revision SET body = (SELECT body FROM connection_revision WHERE connection = 2) WHERE connection = 1`,
		"another revision":   `UPDATE connection_revision SET body = (SELECT body FROM connection_revision WHERE connection = 1 AND revision = 1) WHERE connection = 1 AND revision = 2`,
		"another owner":      `UPDATE connection SET owner = CASE id WHEN 1 THEN 'bob' ELSE '' END WHERE id IN (1, 3)`,
		"another name":       `UPDATE connection SET name = 'oracle2' WHERE id = 2; UPDATE connection SET name = 'b' WHERE id = 1`,
		"another type":       `UPDATE connection_revision SET type = 'GIT'`,
		"from a document":    `UPDATE connection_revision SET body = (SELECT body FROM document)`,
		"one bit":            `UPDATE connection_revision SET body = CAST(substr(body, 1, length(body) - 1) || CASE WHEN substr(body, -1) = x'00' THEN x'01' ELSE x'00' END AS BLOB)`,
		"cut":                `UPDATE connection_revision SET body = x''`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, dir)
			cs := s.Connections()
			create(t, s, oracle("a: hunter22\n"))
			create(t, s, connections.Connection{Name: "b", Type: "SQLORACLE", Text: "a: hunter22\n"})
			create(t, s, connections.Connection{Owner: "ann", Name: "oracle", Type: "SQLORACLE", Text: "a: hunter22\n"})
			_, err := cs.Update(t.Context(), oracle("a: hunter23\n"))
			if err = errors.Join(err, s.Documents("oracle").Put(t.Context(), "", "oracle", "x")); err != nil {
				t.Fatal(err)
			}
			edit(t, dir, statement)
			found := 0
			for _, owner := range []string{"", "ann", "bob"} {
				for _, name := range []string{"oracle", "b", "oracle2"} {
					_, err := cs.Get(t.Context(), owner, name)
					if err == nil || errors.Is(err, connections.ErrNotFound) {
						continue
					}
					found++
					wantFailure(t, err, engine.Permanent, fmt.Sprintf("connection %q, revision ", name), "restore it")
				}
			}
			if found == 0 {
				t.Error("no connection is unreadable")
			}
			// Others can still be read, and what is damaged can be replaced.
			if _, err := cs.Update(t.Context(), connections.Connection{Owner: "", Name: "b", Type: "SQLORACLE"}); err != nil && !errors.Is(err, connections.ErrNotFound) {
				t.Errorf("update: %v", err)
			}
		})
	}
}

func TestListWithDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	for _, name := range []string{"a", "b", "c"} {
		create(t, s, connections.Connection{Name: name, Type: "GIT"})
		if err := s.Documents("vault").Put(t.Context(), "", name, name); err != nil {
			t.Fatal(err)
		}
	}
	edit(t, dir, `UPDATE connection_revision SET body = x'00' WHERE connection = 2`, `UPDATE document SET body = x'00' WHERE name = 'b'`)
	list, err := s.Connections().List(t.Context(), "")
	wantFailure(t, err, engine.Permanent, `connection "b", revision 1, cannot be decrypted`, "")
	documents, err := s.Documents("vault").List(t.Context(), "")
	wantFailure(t, err, engine.Permanent, `vault "b" cannot be decrypted`, "")
	if len(list) != 2 || len(documents) != 2 || list[1].Name != "c" || documents[1].Text() != "c" {
		t.Errorf("got %d connections and %d documents", len(list), len(documents))
	}
	wantFailure(t, s.RotateKey(t.Context()), engine.Permanent, `"b"`, "")
	if _, err := s.Connections().Get(t.Context(), "", "a"); err != nil {
		t.Errorf("a rotation that failed lost something: %v", err)
	}
}

func TestRefusesOtherFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	close1(t, dir, masterKey("a"))
	edit(t, dir, "PRAGMA user_version = 99")
	wantFailure(t, openError(t, dir, masterKey("a")), engine.Invalid, "it has schema version 99, and this weir knows none above 6", "or a newer one")
	edit(t, dir, "PRAGMA user_version = 2")
	mustRead(t, dir, masterKey("a"))

	foreign := t.TempDir()
	write(t, filepath.Join(foreign, "weir.db"), strings.Repeat("no database ", 1000), 0o600)
	wantFailure(t, openError(t, foreign, masterKey("a")), engine.Permanent, "damaged, or no store", "backup")
	if err := openError(t, filepath.Join(write(t, filepath.Join(foreign, "file"), "", 0o600), "dir"), masterKey("a")); err == nil {
		t.Error("a directory in a file")
	}
}

// TestCanary looks for secrets in every file after everything that writes.
func TestCanary(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	var canaries []string
	canary := func() string {
		canaries = append(canaries, fmt.Sprintf("canary-%d-of-many-c0ffee", len(canaries)))
		return canaries[len(canaries)-1]
	}
	look := func(after string) { lookFor(t, dir, canaries, after) }
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		c := connections.Connection{
			Name: fmt.Sprint("c", i), Type: "GIT", Description: canary(),
			Text:    "password: " + canary() + "\nfiller: " + strings.Repeat("x", random.IntN(9000)) + "\n",
			Secrets: []connections.AttachedSecret{{Path: canary()}}, Labels: map[string]string{canary(): canary()},
		}
		create(t, s, c)
		if err := s.Documents("vault").Put(t.Context(), "", c.Name, "token: "+canary()); err != nil {
			t.Fatal(err)
		}
	}
	look("create")
	old := ciphertexts(t, dir)
	for i := range 30 {
		c := connections.Connection{Name: fmt.Sprint("c", i), Type: "GIT", Text: "password: " + canary() + "\n"}
		if _, err := s.Connections().Update(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	look("update")
	for i := range 10 {
		if err := s.Connections().Delete(t.Context(), "", fmt.Sprint("c", i)); err != nil {
			t.Fatal(err)
		}
	}
	look("delete")
	old = append(old, ciphertexts(t, dir)...)
	if err := s.RotateKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	look("rotation")
	lookForBytes(t, dir, old, "rotation")
	if list, err := s.Connections().List(t.Context(), ""); err != nil || len(list) != 50 {
		t.Errorf("after rotation there are %d connections, %v", len(list), err)
	}
}

// lookFor searches all files of the directory for texts in several spellings.
func lookFor(tb testing.TB, dir string, texts []string, after string) {
	tb.Helper()
	var forms [][]byte
	for _, text := range texts {
		lower := hex.EncodeToString([]byte(text))
		encoded := base64.StdEncoding.EncodeToString([]byte(text))
		forms = append(forms, []byte(text), []byte(lower), []byte(strings.ToUpper(lower)), []byte(encoded[:len(encoded)-4]))
	}
	lookForBytes(tb, dir, forms, after)
}

func lookForBytes(tb testing.TB, dir string, forms [][]byte, after string) {
	tb.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, form := range forms {
			if bytes.Contains(text, form) {
				tb.Errorf("after %s, %s holds %.40q", after, entry.Name(), form)
				break
			}
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
}

// ciphertexts gives a part of the start, the middle and the end of each ciphertext.
func ciphertexts(tb testing.TB, dir string) [][]byte {
	tb.Helper()
	rows, err := edit(tb, dir).QueryContext(tb.Context(), `SELECT body FROM connection_revision UNION ALL SELECT body FROM document`)
	if err != nil {
		tb.Fatal(err)
	}
	defer rows.Close()
	var parts [][]byte
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			tb.Fatal(err)
		}
		middle := len(body) / 2
		parts = append(parts, body[:16], body[middle:middle+16], body[len(body)-16:])
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return parts
}

// TestRotateReadsOn reads and writes with one store while another one rotates.
func TestRotateReadsOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, other := open(t, dir), open(t, dir)
	create(t, s, oracle("host: db1\n"))
	done := make(chan error, 1)
	go func() {
		var err error
		for range 20 {
			err = errors.Join(err, s.RotateKey(t.Context()))
		}
		done <- err
	}()
	for n := 0; ; n++ {
		select {
		case err := <-done:
			// Only what the other store was reading may still be in the log.
			var failure *engine.Error
			if err != nil && (!errors.As(err, &failure) || failure.Kind != engine.Unavailable) {
				t.Error(err)
			}
			if c, err := s.Connections().Get(t.Context(), "", "oracle"); err != nil || c.Revision != int64(n+1) {
				t.Errorf("after %d updates: revision %d, %v", n, c.Revision, err)
			}
			return
		default:
		}
		_, err := other.Connections().Update(t.Context(), oracle("host: db1\n"))
		_, readErr := other.Connections().Get(t.Context(), "", "oracle")
		if err := errors.Join(err, readErr); err != nil {
			t.Fatal(err)
		}
	}
}
