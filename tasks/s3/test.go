package s3

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/weir-engine/weir/tasks"
)

// Test implements [tasks.Tester]. Its harmless operation is to list the buckets,
// or where that is denied, to ask for the given one.
func (s *session) Test(ctx context.Context, report func(tasks.Stage)) error {
	fail := func(name string, err error) error {
		failed := s.fault(ctx, err)
		report(tasks.Stage{Name: name, Err: failed})
		return failed
	}
	if err := s.connect(ctx); err != nil {
		return fail("authenticate", err)
	}
	stages := &stages{report: report, wantsTLS: s.endpoint == nil || s.endpoint.Scheme == "https"}
	list, err := ask(httptrace.WithClientTrace(ctx, stages.trace()), s, place{}, (*s3.Client).ListBuckets, &s3.ListBucketsInput{})
	if name := stages.end(); err != nil && name != "" {
		return fail(name, err)
	}
	var e *tasks.Error
	if err != nil {
		e = s.explain(ctx, err)
		if e.Auth || e.Kind != tasks.Denied || codeOf(err) == "RequestTimeTooSkewed" {
			return fail("authenticate", err)
		}
	}
	report(tasks.Stage{Name: "authenticate", Detail: "by " + s.in.String("auth_method")})
	if err == nil {
		report(tasks.Stage{Name: cmdListBuckets, Detail: count(len(list.Buckets), "bucket")})
		return nil
	}
	if s.in.String("bucket") == "" {
		e.Hint = "give `bucket` to test that one instead"
		err := error(e)
		report(tasks.Stage{Name: cmdListBuckets, Err: err})
		return err
	}
	return s.testBucket(ctx, report, fail)
}

func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return strconv.Itoa(n) + " " + thing
}

func (s *session) testBucket(ctx context.Context, report func(tasks.Stage), fail func(string, error) error) error {
	const name = "head_bucket"
	bucket := s.in.String("bucket")
	_, err := ask(ctx, s, place{bucket: bucket}, (*s3.Client).HeadBucket, &s3.HeadBucketInput{Bucket: aws.String(bucket), ExpectedBucketOwner: s.owner()})
	if err != nil {
		return fail(name, err)
	}
	report(tasks.Stage{Name: name, Detail: bucket})
	return nil
}

// stages reports each stage of a connection once, when it worked.
type stages struct {
	report   func(tasks.Stage)
	wantsTLS bool

	mu            sync.Mutex
	dns, tcp, tls bool
	failedLookup  bool
	ended         bool
}

func (s *stages) once(done *bool, name, detail string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !*done && !s.ended {
		*done = true
		s.report(tasks.Stage{Name: name, Detail: detail})
	}
}

func (s *stages) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		DNSDone: func(i httptrace.DNSDoneInfo) {
			if i.Err != nil {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.failedLookup = true
				return
			}
			var addresses []string
			for _, a := range i.Addrs {
				addresses = append(addresses, a.String())
			}
			s.once(&s.dns, "dns", strings.Join(addresses, ", "))
		},
		ConnectDone: func(_, address string, err error) {
			if err == nil {
				s.once(&s.tcp, "tcp", address)
			}
		},
		TLSHandshakeDone: func(state tls.ConnectionState, err error) {
			if err == nil {
				s.once(&s.tls, "tls", certificate(state))
			}
		},
		// A connection that was there already has all of it behind it.
		GotConn: func(i httptrace.GotConnInfo) {
			if i.Reused {
				s.once(&s.tcp, "tcp", i.Conn.RemoteAddr().String())
				if s.wantsTLS {
					s.once(&s.tls, "tls", "as before")
				}
			}
		},
	}
}

// end gives the stage that did not come to its end, "" if all did.
func (s *stages) end() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	switch {
	case s.failedLookup && !s.tcp:
		return "dns"
	case !s.tcp:
		return "tcp"
	case s.wantsTLS && !s.tls:
		return "tls"
	}
	return ""
}

func certificate(state tls.ConnectionState) string {
	if len(state.PeerCertificates) == 0 {
		return ""
	}
	c := state.PeerCertificates[0]
	return fmt.Sprintf("%s, %s until %s", tls.VersionName(state.Version), oneLine(c.Subject.String()), c.NotAfter.Format(time.DateOnly))
}
