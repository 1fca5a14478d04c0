package git

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/weir-engine/weir/tasks"
)

// The schemes of targets.
const (
	schemeFile  = "file"
	schemeHTTP  = "http"
	schemeHTTPS = "https"
	schemeSSH   = "ssh"
)

// target is where a repository is. It holds no credentials.
type target struct {
	scheme string
	user   string // ssh only; may be empty
	host   string // IPv6 addresses without brackets
	port   int    // never 0 but for files
	path   string // on the server; absolute for files
	// around says that path is a directory somewhere within the repository.
	around bool
	// shown is how errors name it.
	shown string
}

// address is what to dial.
func (t target) address() string { return net.JoinHostPort(t.host, strconv.Itoa(t.port)) }

// endpoint is the target as go-git's HTTP transport wants it.
func (t target) endpoint() *transport.Endpoint {
	host := t.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return &transport.Endpoint{Protocol: t.scheme, Host: host, Port: t.port, Path: t.path}
}

func badURL(message, hint string) error {
	return &tasks.Error{Kind: tasks.Invalid, Input: "repository_url", Message: message, Hint: hint}
}

// parseTarget reads a repository_url. Relative paths start at base.
func parseTarget(text, base string) (target, error) {
	scheme, rest, isURL := strings.Cut(text, "://")
	switch {
	case text == "" || strings.ContainsAny(text, "\x00\n\r"):
		return target{}, badURL("repository_url is empty or has more than one line", "")
	case strings.HasPrefix(text, "-"):
		return target{}, badURL("repository_url begins with a dash", "write a path as ./-name")
	case regexp.MustCompile(`^[A-Za-z0-9]+::`).MatchString(text):
		// git would run the program git-remote-<name>.
		helper, _, _ := strings.Cut(text, "::")
		return target{}, badURL(fmt.Sprintf("repository_url uses the remote helper %q, which is not supported", helper), schemesHint)
	case !isURL && isSCP(text):
		return parseSCP(text)
	case !isURL:
		return fileTarget(text, base, text), nil
	}
	switch strings.ToLower(scheme) {
	case schemeFile:
		return parseFileURL(text, rest, base)
	case schemeHTTP, schemeHTTPS, schemeSSH:
		return parseURL(text)
	}
	return target{}, badURL(fmt.Sprintf("repository_url has the scheme %q, which is not supported", scheme), schemesHint)
}

const schemesHint = "use an https, http, ssh or file URL, user@host:path, or a local path"

// isSCP tells host:path from a local path the way git does: a colon before the
// first slash.
func isSCP(text string) bool {
	colon := strings.Index(text, ":")
	if strings.HasPrefix(text, "[") {
		colon = strings.Index(text, "]:")
	}
	slash := strings.Index(text, "/")
	return colon > 0 && (slash < 0 || colon < slash)
}

func parseSCP(text string) (target, error) {
	t := target{scheme: schemeSSH, port: 22, shown: text}
	rest := text
	if user, after, ok := strings.Cut(rest, "@"); ok && !strings.ContainsAny(user, "/:[") {
		t.user, rest = user, after
	}
	if inner, after, ok := strings.Cut(rest, "]:"); ok && strings.HasPrefix(rest, "[") {
		t.host, t.path = strings.TrimPrefix(inner, "["), after
	} else {
		t.host, t.path, _ = strings.Cut(rest, ":")
	}
	return t, t.check()
}

func parseURL(text string) (target, error) {
	u, err := url.Parse(text)
	if err != nil {
		// The error repeats the text, and that may hold a password.
		return target{}, badURL("repository_url is no valid URL", "percent-encode special characters; credentials have inputs of their own")
	}
	t := target{scheme: strings.ToLower(u.Scheme), host: u.Hostname(), path: u.Path}
	if u.RawQuery != "" || u.Fragment != "" {
		return target{}, badURL("repository_url has a query or a fragment", "a branch or tag goes into `ref`")
	}
	if _, has := u.User.Password(); has || t.scheme != schemeSSH && u.User != nil {
		return target{}, badURL("repository_url holds credentials", "put them into `username` and `password` or `token`, and leave them out of the URL")
	}
	if u.User != nil {
		t.user = u.User.Username()
	}
	t.port = map[string]int{schemeHTTP: 80, schemeHTTPS: 443, schemeSSH: 22}[t.scheme]
	if p := u.Port(); p != "" {
		if t.port, err = strconv.Atoi(p); err != nil || t.port < 1 || t.port > 65535 {
			return target{}, badURL("repository_url has a port that is not between 1 and 65535", "")
		}
	}
	if t.scheme == schemeSSH && strings.HasPrefix(t.path, "/~") {
		t.path = t.path[1:]
	}
	if t.scheme != schemeSSH {
		t.path = strings.TrimRight(t.path, "/")
	}
	t.shown = text
	return t, t.check()
}

func (t target) check() error {
	switch {
	case t.host == "":
		return badURL("repository_url names no host", "")
	case strings.HasPrefix(t.host, "-") || strings.HasPrefix(t.path, "-") || strings.HasPrefix(t.user, "-"):
		return badURL("repository_url has a part that begins with a dash", "")
	case strings.Trim(t.path, "/") == "":
		return badURL("repository_url names no repository on "+t.host, "")
	}
	return nil
}

func parseFileURL(text, rest, base string) (target, error) {
	host, path, _ := strings.Cut(rest, "/")
	if host != "" && host != "localhost" {
		return target{}, badURL(fmt.Sprintf("repository_url is a file on another host, %q", host), "a local file URL has three slashes")
	}
	path, err := url.PathUnescape("/" + path)
	if err != nil || strings.Contains(path, "\x00") {
		return target{}, badURL("repository_url is no valid file URL", "percent-encode special characters")
	}
	return fileTarget(path, base, text), nil
}

func fileTarget(path, base, shown string) target {
	t := target{scheme: schemeFile, path: filepath.FromSlash(path), shown: shown, around: filepath.Clean(path) == "."}
	if !filepath.IsAbs(t.path) {
		t.path = filepath.Join(base, t.path)
	}
	return t
}
