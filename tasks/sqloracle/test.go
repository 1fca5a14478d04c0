package sqloracle

import (
	"context"
	"fmt"
	"net"
	"strconv"

	goora "github.com/sijms/go-ora/v2"
	"github.com/sijms/go-ora/v2/configurations"

	"github.com/weir-engine/weir/tasks"
)

// Test implements [tasks.Tester].
func (s *session) Test(ctx context.Context, report func(tasks.Stage)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.in.Duration("connect_timeout")+defaultConnect, errConnect)
	defer cancel()
	fail := func(stage, doing string, err error) error {
		e := s.explain(ctx, doing, err)
		report(tasks.Stage{Name: stage, Err: e})
		return e
	}
	var stages []tasks.Stage
	var stage string
	var err error
	for _, server := range s.config.Servers { // a task tries them in this order, too
		if stages, stage, err = reach(ctx, server); err == nil {
			break
		}
	}
	for _, done := range stages {
		report(done)
	}
	if err != nil {
		return fail(stage, "test", err)
	}
	if err := s.connect(ctx); err != nil {
		report(tasks.Stage{Name: "authenticate", Err: err})
		return err
	}
	detail := s.in.String("user")
	if s.config.SSL {
		detail += ", with TLS"
	}
	report(tasks.Stage{Name: "authenticate", Detail: detail})
	st, err := parse("query", "SELECT 1 FROM DUAL")
	if err != nil {
		return fail("query", "test", err)
	}
	var o only
	err = s.query(ctx, st, binding{}, func(rows *goora.DataSet) error {
		_, err := s.read(ctx, rows, 1, &o)
		return err
	})
	if err != nil {
		return fail("query", "test", err)
	}
	report(tasks.Stage{Name: "query", Detail: st.text})
	return nil
}

// reach tries the way to a server. It gives the stages that went well, and the name of
// the one that did not.
func reach(ctx context.Context, server configurations.ServerAddr) (done []tasks.Stage, failed string, err error) {
	if net.ParseIP(server.Addr) == nil {
		found, err := net.DefaultResolver.LookupHost(ctx, server.Addr)
		if err != nil {
			return nil, "dns", err
		}
		done = append(done, tasks.Stage{Name: "dns", Detail: fmt.Sprint(found)})
	}
	address := net.JoinHostPort(server.Addr, strconv.Itoa(server.Port))
	socket, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return done, "tcp", lateOr(ctx, err)
	}
	_ = socket.Close()
	return append(done, tasks.Stage{Name: "tcp", Detail: address}), "", nil
}
