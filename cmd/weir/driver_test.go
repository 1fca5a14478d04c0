package main

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"
)

// asked is what was asked of the driver of a store: statements, how many rows each one
// gave, and the ends of transactions. It is safe for concurrent use.
type asked struct {
	mu    sync.Mutex
	lines []string
}

func (a *asked) note(line string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lines = append(a.lines, line)
}

// take gives what was asked since it was last taken.
func (a *asked) take() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	lines := a.lines
	a.lines = nil
	return lines
}

// watch wraps the driver of a store.
func (a *asked) watch(c driver.Connector) driver.Connector { return watchedConnector{c, a} }

type watchedConnector struct {
	driver.Connector
	asked *asked
}

// Connect implements driver.Connector.
func (c watchedConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	inner, ok := conn.(driverConn)
	if !ok {
		return nil, errors.New("the driver lacks an ability")
	}
	return &watchedConn{inner, c.asked}, nil
}

// driverConn is what the store needs of a connection.
type driverConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

type watchedConn struct {
	driverConn
	asked *asked
}

// statement is a statement as it is noted: one line.
func statement(text string) string { return strings.Join(strings.Fields(text), " ") }

// BeginTx implements driver.ConnBeginTx.
func (c *watchedConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	c.asked.note("BEGIN")
	tx, err := c.driverConn.BeginTx(ctx, options)
	return watchedTx{tx, c.asked}, err
}

// ExecContext implements driver.ExecerContext.
func (c *watchedConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	c.asked.note(statement(text))
	return c.driverConn.ExecContext(ctx, text, args)
}

// QueryContext implements driver.QueryerContext.
func (c *watchedConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	c.asked.note(statement(text))
	rows, err := c.driverConn.QueryContext(ctx, text, args)
	return watchedRows{rows, c.asked}, err
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *watchedConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	stmt, err := c.driverConn.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	inner, ok := stmt.(driverStmt)
	if !ok {
		return nil, errors.New("the driver's statements lack an ability")
	}
	return &watchedStmt{inner, statement(text), c.asked}, nil
}

type watchedTx struct {
	driver.Tx
	asked *asked
}

// Commit implements driver.Tx.
func (t watchedTx) Commit() error {
	t.asked.note("COMMIT")
	return t.Tx.Commit()
}

// Rollback implements driver.Tx.
func (t watchedTx) Rollback() error {
	t.asked.note("ROLLBACK")
	return t.Tx.Rollback()
}

type driverStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type watchedStmt struct {
	driverStmt
	text  string
	asked *asked
}

// ExecContext implements driver.StmtExecContext.
func (s *watchedStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	s.asked.note(s.text)
	return s.driverStmt.ExecContext(ctx, args)
}

// QueryContext implements driver.StmtQueryContext.
func (s *watchedStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.asked.note(s.text)
	rows, err := s.driverStmt.QueryContext(ctx, args)
	return watchedRows{rows, s.asked}, err
}

type watchedRows struct {
	driver.Rows
	asked *asked
}

// Next implements driver.Rows.
func (r watchedRows) Next(values []driver.Value) error {
	err := r.Rows.Next(values)
	if err == nil {
		r.asked.note("a row")
	}
	return err
}
