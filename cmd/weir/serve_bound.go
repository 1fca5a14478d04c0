package main

import (
	"net"
	"sync"
)

// maxConnections bounds the connections of clients that are open at the same time, and
// filesShare the part of the files that this process may have open that they take: the
// engine needs some, too.
const (
	maxConnections = 10_000
	filesShare     = 2
)

// bounded is a listener that takes so many connections at the same time. More of them
// wait until one is closed.
type bounded struct {
	net.Listener
	room   chan struct{} // has an element for each connection that is open
	closed chan struct{}
	close  func()
}

func newBounded(l net.Listener, most int) *bounded {
	closed := make(chan struct{})
	return &bounded{l, make(chan struct{}, most), closed, sync.OnceFunc(func() { close(closed) })}
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.room <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	conn, err := b.Listener.Accept()
	if err != nil {
		<-b.room
		return nil, err
	}
	return &boundedConn{conn, sync.OnceFunc(func() { <-b.room })}, nil
}

// Close implements net.Listener.
func (b *bounded) Close() error {
	b.close()
	return b.Listener.Close()
}

// boundedConn gives its place back when it is closed.
type boundedConn struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
