package sqloracle

import (
	"context"
	"fmt"
	"net"
	"strconv"

	goora "github.com/sijms/go-ora/v2"

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
	host := s.config.Servers[0].Addr
	address := net.JoinHostPort(host, strconv.Itoa(s.config.Servers[0].Port))
	if net.ParseIP(host) == nil {
		found, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			return fail("dns", "test", err)
		}
		report(tasks.Stage{Name: "dns", Detail: fmt.Sprint(found)})
	}
	socket, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return fail("tcp", "test", err)
	}
	_ = socket.Close()
	report(tasks.Stage{Name: "tcp", Detail: address})
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
