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
	"path/filepath"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
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
	s := &session{op: op.Name, in: in, env: env, secrets: secret.NewRedactor()}
	for _, f := range spec().Inputs.Fields {
		if f.Sensitive {
			s.secrets.Add(in.Secret(f.Name))
		}
	}
	if err := s.parse(); err != nil {
		return nil, err
	}
	if err := s.checkMachine(); err != nil {
		return nil, err
	}
	if s.repo, err = d.open(s); err != nil {
		return nil, err
	}
	return s, nil
}

// parse reads all inputs that are more than what they say.
func (s *session) parse() error {
	// "." has no parents to look for a repository in.
	base, err := filepath.Abs(s.env.Files.Name())
	if err != nil {
		return err
	}
	if s.target, err = parseTarget(s.in.String("repository_url"), base); err != nil {
		return err
	}
	if s.paths, err = parsePatterns(s.in.Strings("paths")); err != nil {
		return err
	}
	if s.since, err = parseSince(s.in); err != nil {
		return err
	}
	if s.in.Int("max_count") < 0 {
		return &tasks.Error{Kind: tasks.Invalid, Input: "max_count", Message: "max_count is negative"}
	}
	if s.author, err = parseAuthor(s.in); err != nil {
		return err
	}
	if s.branch, err = parseName(s.in, "branch", plumbing.NewBranchReferenceName); err != nil {
		return err
	}
	if s.tagName, err = parseName(s.in, "tag", plumbing.NewTagReferenceName); err != nil {
		return err
	}
	if s.op == cmdCommit {
		s.changes, err = parseChanges(s.in)
	}
	return err
}

// checkMachine refuses what asks for the machine's own, if that is not for this task.
func (s *session) checkMachine() error {
	switch {
	case s.env.Machine:
		return nil
	case s.target.scheme == schemeFile:
		return &tasks.Error{Kind: tasks.Denied, Input: "repository_url", Message: "repository_url is a path on the machine, which is not for this connection",
			Hint: "give the URL of a server"}
	case s.in.String("auth_method") == authDefault:
		return &tasks.Error{Kind: tasks.Denied, Input: "auth_method", Message: "auth_method default would take credentials of the machine, which are not for this connection",
			Hint: "give the connection credentials of its own"}
	}
	return nil
}

// open prepares the repository without touching it.
func (d driver) open(s *session) (repository, error) {
	if s.target.scheme == schemeFile {
		return &local{target: s.target}, nil
	}
	r := &remote{target: s.target, files: s.env.Files, progress: s.env.Progress}
	var err error
	if s.target.scheme == schemeSSH {
		r.wire, err = newSSH(s, d.config)
	} else {
		r.wire, err = newHTTP(s, d.config)
	}
	return r, err
}

// session is one operation on one repository.
type session struct {
	op      string
	in      schema.Inputs
	env     tasks.Env
	secrets *secret.Redactor

	target  target
	paths   patterns
	since   time.Time
	author  object.Signature
	branch  plumbing.ReferenceName // empty: HEAD's
	tagName plumbing.ReferenceName
	changes changes

	repo repository
}

func (s *session) Close() error { return s.repo.Close() }

func (s *session) Do(ctx context.Context) (tasks.Result, error) {
	run := map[string]func(context.Context) (map[string]any, error){
		cmdMetadata: s.metadata,
		cmdGet:      s.get,
		cmdList:     s.list,
		cmdLog:      s.log,
		cmdCommit:   s.commit,
		cmdTag:      s.tag,
	}[s.op]
	out, err := run(ctx)
	if err != nil {
		return tasks.Result{}, s.fault(ctx, err)
	}
	return tasks.Result{Output: out}, nil
}

// mask keeps a secret that was found on the way out of everything shown.
func (s *session) mask(found secret.Value) {
	s.secrets.Add(found)
	s.env.Mask(found)
}

// fault makes the error that the user sees of any error of this session. What
// servers say may repeat what they were sent.
func (s *session) fault(ctx context.Context, err error) error {
	e := explain(ctx, s.op+" "+s.target.shown, err)
	e.Message, e.Hint = s.secrets.String(e.Message), s.secrets.String(e.Hint)
	return e
}
