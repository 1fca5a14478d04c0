// Command s3 is a real S3 server for tests: Versity's gateway on a directory, with
// versions of objects, accounts and bucket policies. It checks signatures,
// checksums and conditions as AWS does.
//
// It prints one line, "listening on HOST:PORT", as soon as it takes connections,
// logs to standard error, and ends when its standard input does: so no server
// outlives the test binary that started it, however that ended.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

func main() {
	var o options
	flag.StringVar(&o.listen, "listen", "", "address to listen on; empty takes a free port of 127.0.0.1")
	flag.StringVar(&o.dir, "dir", "", "directory of everything that it keeps")
	flag.StringVar(&o.root.Access, "root-key", "", "access key id of the account that may do anything")
	flag.StringVar(&o.root.Secret, "root-secret", "", "its secret access key")
	flag.StringVar(&o.user.Access, "user-key", "", "access key id of an account that may do what bucket policies say")
	flag.StringVar(&o.user.Secret, "user-secret", "", "its secret access key")
	flag.StringVar(&o.cert, "tls-cert", "", "certificate chain; empty serves plain HTTP")
	flag.StringVar(&o.key, "tls-key", "", "key of the certificate")
	flag.BoolVar(&o.remove, "remove", false, "remove the directory at the end")
	flag.Parse()
	signal.Ignore(syscall.SIGPIPE) // nobody reads the log of the last moments
	// The gateway prints too, and what it says belongs to the log.
	out := os.Stdout
	os.Stdout = os.Stderr
	err := run(o, out)
	if o.remove {
		os.RemoveAll(o.dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "s3:", err)
		os.Exit(1)
	}
}

type options struct {
	listen, dir, cert, key string
	root, user             auth.Account
	remove                 bool
}

// run serves until standard input ends, and tells out where.
func run(o options, out io.Writer) error {
	if o.listen == "" {
		free, err := freeAddress()
		if err != nil {
			return err
		}
		o.listen = free
	}
	var dirs [3]string
	for i, name := range []string{"objects", "versions", "accounts"} {
		dirs[i] = filepath.Join(o.dir, name)
		if err := os.MkdirAll(dirs[i], 0o700); err != nil {
			return err
		}
	}
	backend, err := posix.New(dirs[0], meta.XattrMeta{}, posix.PosixOpts{VersioningDir: dirs[1], NewDirPerm: 0o755, Concurrency: 5000, CopyObjectThreshold: 5 << 30})
	if err != nil {
		return fmt.Errorf("open the objects: %w", err)
	}
	accounts, err := auth.NewInternal(o.root, dirs[2])
	if err != nil {
		return err
	}
	o.user.Role = auth.RoleUser
	if err := accounts.CreateAccount(o.user); err != nil && !errors.Is(err, auth.ErrUserExists) {
		return fmt.Errorf("make the user's account: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- embedgw.RunVersityGW(ctx, backend, &embedgw.Config{
			RootUserAccess: o.root.Access, RootUserSecret: o.root.Secret, Region: "us-east-1",
			Ports: []string{o.listen}, CertFile: o.cert, KeyFile: o.key, IAMService: accounts,
			MaxConnections: 10000, MaxRequests: 10000, MultipartMaxParts: 10000,
			Quiet: true, KeepAlive: true,
		})
	}()
	if err := awaitReady(o.listen, ended); err != nil {
		cancel()
		return err
	}
	fmt.Fprintln(out, "listening on", o.listen)
	_, _ = io.Copy(io.Discard, os.Stdin)
	cancel()
	return nil // what is under way may end with the process
}

// freeAddress finds a port that nobody listens on; the gateway tells nobody which
// one it was given.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// awaitReady waits until the gateway takes connections.
func awaitReady(address string, ended <-chan error) error {
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case err := <-ended:
			return fmt.Errorf("serve: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
