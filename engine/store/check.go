package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

const (
	integrityCheck  = `PRAGMA integrity_check(100)`
	foreignKeyCheck = `PRAGMA foreign_key_check`
	allJournalKeys  = `SELECT id FROM journal_key`
	allTexts        = `SELECT digest, key, body FROM text`
	allSettings     = `SELECT owner, name, key, body FROM setting`
	allAudit        = `SELECT number, time, owner, connection_owner, key, body FROM audit`
	allExecutions   = `SELECT ` + executionColumns + `, key FROM execution`
	logOf           = `SELECT number, ordinal, body FROM log WHERE execution = ? ORDER BY number`
	ordersOf        = `SELECT number, body FROM orders WHERE execution = ?`
	knowsExecution  = `SELECT EXISTS (SELECT 1 FROM execution WHERE id = ? AND root = ?)`
	knowsText       = `SELECT EXISTS (SELECT 1 FROM text_use u JOIN text t ON t.id = u.text WHERE u.root = ? AND t.digest = ?)`
	// orphans gives names of executions that rows are about without being there.
	orphans = `SELECT 'journal', execution FROM journal WHERE number = 0 AND NOT EXISTS (SELECT 1 FROM execution WHERE id = execution)
		UNION ALL SELECT 'log', execution FROM log WHERE number = 1 AND NOT EXISTS (SELECT 1 FROM execution WHERE id = execution)
		UNION ALL SELECT 'orders', execution FROM orders WHERE NOT EXISTS (SELECT 1 FROM execution WHERE id = execution)
		UNION ALL SELECT DISTINCT 'trace', root FROM trace WHERE NOT EXISTS (SELECT 1 FROM execution WHERE id = root)
		UNION ALL SELECT DISTINCT 'text_use', root FROM text_use WHERE NOT EXISTS (SELECT 1 FROM execution WHERE id = root)`
)

// Checked says how much of a store was looked at.
type Checked struct {
	Connections, Documents, Users, Settings, Texts, Executions, Events, Lines, AuditEvents int
}

// Check reads everything in the store as it is at one moment: whether SQLite
// finds the file whole, everything can be decrypted in its place, every journal
// can be played back, and whatever is referred to is there. It calls fault with
// each thing that is wrong, which names no value. In a file that is not whole it
// looks no further. The error is for a check that could not be carried out.
func (s *Store) Check(ctx context.Context, fault func(error)) (Checked, error) {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return Checked{}, s.explain("check", err)
	}
	defer func() { _ = tx.Rollback() }()
	c := &checker{s: s, tx: tx, fault: fault}
	whole, err := c.file(ctx)
	if err != nil || !whole {
		return c.seen, s.explain("check", err)
	}
	for _, check := range []func(context.Context) error{c.sealedRows, c.journalKeys, c.texts, c.settings, c.executions, c.orphans, c.audit} {
		if err := check(ctx); err != nil {
			return c.seen, s.explain("check", err)
		}
	}
	return c.seen, nil
}

// checker checks all in one transaction.
type checker struct {
	s     *Store
	tx    *sql.Tx
	fault func(error)
	seen  Checked
}

// each calls do for every row of a query.
func (c *checker) each(ctx context.Context, do func(*sql.Rows) error, query string, args ...any) error {
	rows, err := c.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := do(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// file has SQLite look at the file itself, and tells whether it is whole.
func (c *checker) file(ctx context.Context) (whole bool, err error) {
	whole = true
	broken := func(format string, args ...any) {
		whole = false
		c.fault(fail(engine.Permanent, "restore the store from a backup", format, args...))
	}
	err = c.each(ctx, func(rows *sql.Rows) error {
		var text string
		err := rows.Scan(&text)
		if err == nil && text != "ok" {
			broken("%s: %s", fileName, text)
		}
		return err
	}, integrityCheck)
	if err != nil {
		return whole, err
	}
	return whole, c.each(ctx, func(rows *sql.Rows) error {
		var table string
		var row, parent, index any
		err := rows.Scan(&table, &row, &parent, &index)
		if err == nil {
			broken("row %v of table %s refers to what is not there", row, table)
		}
		return err
	}, foreignKeyCheck)
}

// sealedRows decrypts what is encrypted under the data key.
func (c *checker) sealedRows(ctx context.Context) error {
	var sealed []byte
	if err := c.tx.QueryRowContext(ctx, selectKeyset).Scan(&sealed); err != nil {
		return err
	}
	keys, err := c.s.keys.unwrap(sealed)
	if err != nil {
		return err
	}
	counts := []*int{&c.seen.Connections, &c.seen.Documents, new(int), &c.seen.Users} // in the order of sealedTables
	for i, table := range sealedTables() {
		count := new(int)
		if i < len(counts) {
			count = counts[i]
		}
		ids, err := rowIDs(ctx, c.tx, table.list)
		if err != nil {
			return err
		}
		*count = len(ids)
		for _, id := range ids {
			body, at, err := table.row(ctx, c.tx, id)
			if err != nil {
				return err
			}
			if _, err := keys.open(body, at, string(at)); err != nil {
				c.fault(err)
			}
		}
	}
	return nil
}

// journalKeys reads the journal keys for what follows.
func (c *checker) journalKeys(ctx context.Context) error {
	ids, err := rowIDs(ctx, c.tx, allJournalKeys)
	for _, id := range ids {
		_, _ = c.s.executions.members.rootKey(ctx, c.tx, id) // if it cannot be decrypted, that was said
	}
	return err
}

// root gives a journal key; nil, and a fault, if there is none.
func (c *checker) root(ctx context.Context, key int64, what string) *rootKey {
	root, err := c.s.executions.members.rootKey(ctx, c.tx, key)
	if err != nil {
		c.fault(fmt.Errorf("%s: %w", what, err))
	}
	return root
}

func (c *checker) texts(ctx context.Context) error {
	return c.each(ctx, func(rows *sql.Rows) error {
		var digest string
		var key int64
		var body sql.RawBytes
		if err := rows.Scan(&digest, &key, &body); err != nil {
			return err
		}
		c.seen.Texts++
		what := fmt.Sprintf("the text %.12s of a flow", digest)
		root := c.root(ctx, key, what)
		if root == nil {
			return nil
		}
		if text, ok := root.sealer("text", digest).open(body, "text", 0); !ok || journal.Digest(text) != digest {
			c.fault(damaged("%s", what))
		}
		return nil
	}, allTexts)
}

func (c *checker) settings(ctx context.Context) error {
	return c.each(ctx, func(rows *sql.Rows) error {
		var owner, name string
		var key int64
		var body sql.RawBytes
		if err := rows.Scan(&owner, &name, &key, &body); err != nil {
			return err
		}
		c.seen.Settings++
		root := c.root(ctx, key, fmt.Sprintf("setting %q", name))
		if root == nil {
			return nil
		}
		if _, err := openSetting(root, owner, name, body); err != nil {
			c.fault(err)
		}
		return nil
	}, allSettings)
}

func (c *checker) audit(ctx context.Context) error {
	return c.each(ctx, func(rows *sql.Rows) error {
		sealed, number, err := scanAudit(rows)
		if err != nil {
			return err
		}
		c.seen.AuditEvents++
		root := c.root(ctx, sealed.key, fmt.Sprintf("audit event %d", number))
		if root == nil {
			return nil
		}
		_, err = openAudit(root, sealed, number)
		return c.orFault(err)
	}, allAudit)
}

func (c *checker) executions(ctx context.Context) error {
	return c.each(ctx, func(rows *sql.Rows) error {
		var key int64
		r, err := scanRow(rows, &key)
		if err != nil {
			return err
		}
		c.seen.Executions++
		root := c.root(ctx, key, fmt.Sprintf("execution %s", r.ID))
		if root == nil {
			return nil
		}
		m := newMember(root, key, string(r.ID), string(r.Root), string(r.Parent), r.Owner)
		for _, check := range []func(context.Context, journal.Row, *member) error{c.family, c.journal, c.log, c.orders} {
			if err := check(ctx, r, m); err != nil {
				return err
			}
		}
		if r.Parent != "" {
			return nil
		}
		traces, err := c.tx.QueryContext(ctx, selectTraces, string(r.Root))
		if err != nil {
			return err
		}
		_, err = readTraces(traces, root, r)
		return c.orFault(err)
	}, allExecutions)
}

// orFault calls fault with what is wrong with the store, and gives any other error.
func (c *checker) orFault(err error) error {
	if errors.As(err, new(*engine.Error)) {
		c.fault(err)
		return nil
	}
	return err
}

// family looks for what an execution belongs to, and at its own row.
func (c *checker) family(ctx context.Context, r journal.Row, _ *member) error {
	if r.Status.Ended() != !r.Ended.IsZero() {
		c.fault(fail(engine.Permanent, "", "execution %s is %s, and ended at %v", r.ID, r.Status, r.Ended))
	}
	for _, other := range []engine.ID{r.Root, r.Parent} {
		var exists bool
		if other == "" {
			continue
		}
		if err := c.tx.QueryRowContext(ctx, knowsExecution, string(other), string(r.Root)).Scan(&exists); err != nil {
			return err
		}
		if !exists {
			c.fault(fail(engine.Permanent, "restore the store from a backup", "execution %s belongs to %s, which is not there", r.ID, other))
		}
	}
	return nil
}

func (c *checker) journal(ctx context.Context, r journal.Row, m *member) error {
	rows, err := c.tx.QueryContext(ctx, selectEvents, string(r.ID))
	if err != nil {
		return err
	}
	events, err := readEvents(rows, r.ID, m)
	if err != nil {
		return c.orFault(err)
	}
	c.seen.Events += len(events)
	if _, err := journal.NewCursor(events); err != nil {
		c.fault(fail(engine.Permanent, "restore the store from a backup", "the journal of execution %s cannot be played back: %v", r.ID, err))
	}
	for number, event := range events {
		digest := ""
		switch e := event.(type) {
		case *journal.Begun:
			digest = e.Text
		case *journal.Observed:
			digest = e.Text
		}
		var exists bool
		if digest == "" {
			continue
		}
		if err := c.tx.QueryRowContext(ctx, knowsText, string(r.Root), digest).Scan(&exists); err != nil {
			return err
		}
		if !exists {
			c.fault(fail(engine.Permanent, "restore the store from a backup", "event %d of execution %s names the text %.12s, which is not there", number, r.ID, digest))
		}
	}
	return nil
}

func (c *checker) log(ctx context.Context, r journal.Row, m *member) error {
	return c.each(ctx, func(rows *sql.Rows) error {
		l := sealedLine{LogLine: LogLine{Execution: r.ID}}
		if err := rows.Scan(&l.Number, &l.Ordinal, &l.body); err != nil {
			return err
		}
		c.seen.Lines++
		return c.orFault(l.open(m))
	}, logOf, string(r.ID))
}

func (c *checker) orders(ctx context.Context, r journal.Row, m *member) error {
	return c.each(ctx, func(rows *sql.Rows) error {
		var number int64
		var body []byte
		if err := rows.Scan(&number, &body); err != nil {
			return err
		}
		_, err := openOrder(m, number, r.ID, body)
		return c.orFault(err)
	}, ordersOf, string(r.ID))
}

func (c *checker) orphans(ctx context.Context) error {
	return c.each(ctx, func(rows *sql.Rows) error {
		var table, id string
		err := rows.Scan(&table, &id)
		if err == nil {
			c.fault(fail(engine.Permanent, "", "table %s has rows of execution %s, which is not there", table, id))
		}
		return err
	}, orphans)
}
