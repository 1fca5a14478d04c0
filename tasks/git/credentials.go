package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/tasks"
)

// tokenUser goes beside a token whose user is not told: GitHub wants this one for
// some kinds of tokens, GitLab, Gitea and Azure DevOps take any.
const tokenUser = "x-access-token"

// givenHTTP gives the credentials in the inputs, nil if there are none.
func givenHTTP(in schema.Inputs) *githttp.BasicAuth {
	user := in.String("username")
	switch {
	case in.Has("token"):
		if user == "" {
			user = tokenUser
		}
		return &githttp.BasicAuth{Username: user, Password: in.Secret("token").Reveal()}
	case in.Has("password"):
		return &githttp.BasicAuth{Username: user, Password: in.Secret("password").Reveal()}
	}
	return nil
}

func (c Config) home() string {
	if c.Home != "" {
		return c.Home
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return home
}

func (c Config) agentSocket() string {
	if c.AgentSocket != "" {
		return c.AgentSocket
	}
	return os.Getenv("SSH_AUTH_SOCK")
}

// fill asks git's credential helpers, without ever asking a person. It gives nil
// if git is not installed or knows nothing.
func (c Config) fill(ctx context.Context, t target) (*githttp.BasicAuth, error) {
	program := c.Program
	if program == "" {
		program = "git"
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, nil //nolint:nilnil // no program, no credentials
	}
	host := t.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if t.port != map[string]int{schemeHTTP: 80, schemeHTTPS: 443}[t.scheme] {
		host += fmt.Sprintf(":%d", t.port)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, path, "credential", "fill") //nolint:gosec // the program is Config's, never an input's
	cmd.Dir = c.home()
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=", "GCM_INTERACTIVE=never", "LC_ALL=C", "HOME="+c.home())
	cmd.Stdin = strings.NewReader(fmt.Sprintf("protocol=%s\nhost=%s\npath=%s\n\n", t.scheme, host, strings.TrimPrefix(t.path, "/")))
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && ctx.Err() == nil {
			return nil, nil //nolint:nilnil // it knows none and may not ask
		}
		return nil, fmt.Errorf("ask git for credentials: %w", err)
	}
	auth := &githttp.BasicAuth{}
	for line := range strings.Lines(out.String()) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		switch key {
		case "username":
			auth.Username = value
		case "password":
			auth.Password = value
		}
	}
	if auth.Password == "" {
		return nil, nil //nolint:nilnil // nothing found
	}
	return auth, nil
}

// badKey is the error for a private key in the inputs; what is wrong with it is
// told without a word of it.
func badKey(input, message, hint string) error {
	return &tasks.Error{Kind: tasks.Invalid, Input: input, Message: message, Hint: hint}
}

// exists tells which of these files are there.
func exists(paths ...string) []string {
	var there []string
	for _, p := range paths {
		if info, err := os.Stat(filepath.Clean(p)); err == nil && info.Mode().IsRegular() {
			there = append(there, p)
		}
	}
	return there
}
