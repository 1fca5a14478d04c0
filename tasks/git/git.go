// Package git is the task type GIT: it reads and writes Git repositories over
// HTTPS, SSH and local paths, on go-git's plumbing and without the git program.
//
// What arrives from a server is kept as one pack, small ones in memory and large
// ones in a file of the files directory that has no name, and files are streamed
// from there: memory does not grow with the repository, only by some 100 bytes
// for each object. go-git's worktrees, its remotes and its global table of
// transports are not used.
package git

import (
	"context"
	"fmt"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/tasks"
)

// Config says where auth_method "default" finds what git itself would use. The
// zero Config means this machine and the user that the process runs as.
type Config struct {
	// Home is the home directory with .ssh in it; empty means the user's.
	Home string
	// AgentSocket is the SSH agent's; empty means SSH_AUTH_SOCK.
	AgentSocket string
	// Program is the git program, asked for stored credentials only; empty means
	// "git" from PATH.
	Program string
}

// New gives the driver.
func New(c Config) tasks.Driver { return driver{config: c} }

type driver struct{ config Config }

func (driver) Spec() tasks.Spec { return spec() }

func (d driver) Open(_ context.Context, in schema.Inputs, env tasks.Env) (tasks.Session, error) {
	op, err := spec().Check(in)
	if err != nil {
		return nil, err
	}
	t, err := parseTarget(in.String("repository_url"), env.Files.Name())
	if err != nil {
		return nil, err
	}
	paths, err := parsePatterns(in.Strings("paths"))
	if err != nil {
		return nil, err
	}
	s := &session{op: op.Name, in: in, env: env, target: t, paths: paths}
	if s.repo, err = d.open(s); err != nil {
		return nil, err
	}
	return s, nil
}

// open prepares the repository without touching it.
func (d driver) open(s *session) (repository, error) {
	switch s.target.scheme {
	case schemeFile:
		return &local{target: s.target}, nil
	default:
		return nil, &tasks.Error{Kind: tasks.Invalid, Input: "repository_url", Message: "not yet", Hint: fmt.Sprint(s.target.scheme)}
	}
}

type session struct {
	op     string
	in     schema.Inputs
	env    tasks.Env
	target target
	paths  patterns
	repo   repository
}

func (s *session) Close() error { return s.repo.Close() }

func (s *session) Do(ctx context.Context) (tasks.Result, error) {
	run, ok := map[string]func(context.Context) (map[string]any, error){
		cmdMetadata: s.metadata,
	}[s.op]
	if !ok {
		return tasks.Result{}, &tasks.Error{Kind: tasks.Invalid, Message: s.op + " is not there yet"}
	}
	out, err := run(ctx)
	if err != nil {
		return tasks.Result{}, s.fault(ctx, err)
	}
	return tasks.Result{Output: out}, nil
}

// fault makes the error that the user sees of any error of this session.
func (s *session) fault(ctx context.Context, err error) error {
	return explain(ctx, s.op+" "+s.target.shown, err)
}
