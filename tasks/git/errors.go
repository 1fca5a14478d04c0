package git

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/weir-engine/weir/tasks"
)

// explain makes the error that the user sees. doing names the operation and the
// repository.
func explain(ctx context.Context, doing string, err error) *tasks.Error {
	e := classify(ctx, err)
	e.Message = doing + ": " + e.Message
	return e
}

// classify gives a fresh error with a kind. Its message is one line.
func classify(ctx context.Context, err error) *tasks.Error {
	var own *tasks.Error
	if errors.As(err, &own) {
		e := *own
		return &e
	}
	switch ctx.Err() {
	case nil:
	case context.DeadlineExceeded:
		return &tasks.Error{Kind: tasks.Timeout, Message: "it was not done in time", Err: err}
	default:
		return &tasks.Error{Kind: tasks.Timeout, Message: "it was ended before it was done", Err: err}
	}
	err = unwrap(err)
	for _, f := range []func(error) *tasks.Error{ofTLS, ofNetwork, ofServer, ofMachine} {
		if e := f(err); e != nil {
			e.Err = err
			return e
		}
	}
	return &tasks.Error{Kind: tasks.Permanent, Message: oneLine(err.Error()), Err: err}
}

// unwrap takes off what go-git wraps errors in without saying so to package
// errors.
func unwrap(err error) error {
	for {
		var unexpected *plumbing.UnexpectedError
		var permanent *plumbing.PermanentError
		switch {
		case errors.As(err, &unexpected):
			err = unexpected.Err
		case errors.As(err, &permanent):
			err = permanent.Err
		default:
			return err
		}
	}
}

func ofTLS(err error) *tasks.Error {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		record   tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &unknown):
		return &tasks.Error{Kind: tasks.Denied, Input: "ca_cert",
			Message: "the server's certificate was issued by an authority that is not trusted",
			Hint:    "give the authority's certificate as `ca_cert`"}
	case errors.As(err, &hostname):
		return &tasks.Error{Kind: tasks.Denied, Input: "repository_url",
			Message: "the server's certificate is for another host: " + oneLine(hostname.Error())}
	case errors.As(err, &invalid):
		return &tasks.Error{Kind: tasks.Denied, Message: "the server's certificate is not valid: " + oneLine(invalid.Error())}
	case errors.As(err, &record):
		return &tasks.Error{Kind: tasks.Permanent, Input: "repository_url", Message: "the server does not speak TLS on this port"}
	}
	return nil
}

func ofNetwork(err error) *tasks.Error {
	var (
		dns     *net.DNSError
		op      *net.OpError
		timeout interface{ Timeout() bool }
	)
	switch {
	case errors.As(err, &dns):
		kind := tasks.Unavailable
		if dns.IsTimeout {
			kind = tasks.Timeout
		}
		reason := "the look-up failed"
		if dns.IsNotFound {
			reason = "there is no such host"
		}
		return &tasks.Error{Kind: kind, Input: "repository_url", Message: fmt.Sprintf("look up host %q: %s", dns.Name, reason),
			Hint: "check the host's name, and this machine's name servers"}
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return &tasks.Error{Kind: tasks.Timeout, Message: "the server did not answer in time", Hint: "raise `connect_timeout`, or check the way to the server"}
	case errors.As(err, &op) && op.Op == "dial":
		return &tasks.Error{Kind: tasks.Unavailable, Input: "repository_url",
			Message: fmt.Sprintf("connect to %s: %s", op.Addr, reasonOf(op.Err)),
			Hint:    "check host and port, that the server is running, and firewalls and proxies on the way"}
	case errors.As(err, &op):
		return &tasks.Error{Kind: tasks.Unavailable, Message: "the connection broke off: " + reasonOf(op.Err)}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, pktline.ErrInvalidPktLen), brokenOff(err):
		return &tasks.Error{Kind: tasks.Unavailable, Message: "the server's answer broke off"}
	}
	return nil
}

// brokenOff knows the errors of which go-git keeps nothing but the text.
func brokenOff(err error) bool {
	text := err.Error()
	return strings.HasPrefix(text, "error decoding upload-pack response") &&
		(strings.HasSuffix(text, "EOF") || strings.HasSuffix(text, pktline.ErrInvalidPktLen.Error()))
}

func reasonOf(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return oneLine(err.Error())
}

func ofServer(err error) *tasks.Error {
	var status *githttp.Err
	switch {
	case errors.Is(err, transport.ErrAuthenticationRequired):
		return &tasks.Error{Kind: tasks.Denied, Message: "the server refused the credentials", Auth: true,
			Hint: "check `username` and `password` or `token`"}
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return &tasks.Error{Kind: tasks.Denied, Message: "the server does not allow it (403)",
			Hint: "check what the user or token may do"}
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return &tasks.Error{Kind: tasks.NotFound, Input: "repository_url", Message: "there is no such repository",
			Hint: "servers say so too when the credentials may not see it"}
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return &tasks.Error{Kind: tasks.NotFound, Input: "repository_url", Message: "the repository is empty: it has no commit yet"}
	case errors.As(err, &status):
		code := status.StatusCode()
		kind := tasks.Permanent
		if code >= http.StatusInternalServerError || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout {
			kind = tasks.Unavailable
		}
		return &tasks.Error{Kind: kind, Message: fmt.Sprintf("the server answered %d %s", code, http.StatusText(code))}
	case errors.Is(err, plumbing.ErrObjectNotFound):
		return &tasks.Error{Kind: tasks.Permanent, Message: "the repository lacks an object that it refers to",
			Hint: "it may be a partial clone, or damaged"}
	}
	return nil
}

func ofMachine(err error) *tasks.Error {
	var path *fs.PathError
	switch {
	case errors.As(err, &path):
		e := &tasks.Error{Kind: tasks.Permanent, Message: fmt.Sprintf("%s %q: %s", path.Op, path.Path, reasonOf(path.Err))}
		if err.Error() != path.Error() { // what was being done says more than a temporary name
			e.Message = oneLine(strings.ReplaceAll(err.Error(), path.Error(), reasonOf(path.Err)))
		}
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			e.Hint = "make room in the files directory; files that are there are whole"
		}
		return e
	}
	return nil
}

// oneLine makes foreign text fit into a message.
func oneLine(text string) string {
	const enough = 300
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if len(text) > enough {
		text = strings.ToValidUTF8(text[:enough], "") + "..."
	}
	return text
}
