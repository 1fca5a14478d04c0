package git

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/weir-engine/weir/tasks"
)

// checkKnownHosts finds the line that is at fault, without I/O.
func checkKnownHosts(text string) error {
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if _, _, _, _, _, err := ssh.ParseKnownHosts([]byte(line)); err != nil {
			return &tasks.Error{
				Kind: tasks.Invalid, Input: "known_hosts", Err: err,
				Message: fmt.Sprintf("known_hosts cannot be read: line %d", n),
				Hint:    "a line is a host, a key type and a key, as ssh-keyscan prints it",
			}
		}
	}
	return nil
}

// hostKeys reads the keys to trust: those of the inputs, or the user's files.
func hostKeys(root *os.Root, text string, files []string) (*knownhosts.HostKeyDB, error) {
	if text == "" {
		db, err := knownhosts.NewDB(files...)
		if err != nil {
			return nil, &tasks.Error{Kind: tasks.Invalid, Message: "the known_hosts files cannot be read: " + oneLine(err.Error()), Err: err}
		}
		return db, nil
	}
	// The library reads files only. There is nothing secret in this one.
	name := ".weir-" + rand.Text()
	if err := root.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("make a temporary file: %w", err)
	}
	defer root.Remove(name) //nolint:errcheck // nothing depends on it
	db, err := knownhosts.NewDB(filepath.Join(root.Name(), name))
	if err != nil {
		return nil, &tasks.Error{Kind: tasks.Invalid, Input: "known_hosts", Message: "known_hosts cannot be read", Err: err}
	}
	return db, nil
}

// trust gives the check of a server's key, which explains what it refuses.
func trust(db *knownhosts.HostKeyDB, address string) ssh.HostKeyCallback {
	check := db.HostKeyCallback()
	return func(host string, remote net.Addr, key ssh.PublicKey) error {
		err := check(host, remote, key)
		if err == nil {
			return nil
		}
		is := fmt.Sprintf("%s %s", key.Type(), ssh.FingerprintSHA256(key))
		refused := &tasks.Error{Kind: tasks.Denied, Input: "known_hosts", Err: err}
		var revoked *xknownhosts.RevokedError
		switch {
		case errors.As(err, &revoked):
			refused.Message = fmt.Sprintf("the host key of %s is revoked: it is %s", address, is)
			refused.Hint = "do not connect before the server's operator has told why"
		case knownhosts.IsHostKeyChanged(err):
			refused.Message = fmt.Sprintf("THE HOST KEY OF %s HAS CHANGED: it is %s, and known_hosts has %s", address, is, known(db, address))
			refused.Hint = "somebody may be in between: ask the server's operator, and only then replace the line"
		case knownhosts.IsHostUnknown(err):
			refused.Message = fmt.Sprintf("the host key of %s is not known: it is %s", address, is)
			refused.Hint = "if that is the server's fingerprint, add this line to `known_hosts`: " + line(address, key)
		default:
			refused.Message = fmt.Sprintf("the host key of %s is not valid: %s", address, oneLine(err.Error()))
		}
		return refused
	}
}

func known(db *knownhosts.HostKeyDB, address string) string {
	var keys []string
	for _, k := range db.HostKeys(address) {
		keys = append(keys, fmt.Sprintf("%s %s", k.Type(), ssh.FingerprintSHA256(k)))
	}
	return strings.Join(keys, ", ")
}

func line(address string, key ssh.PublicKey) string {
	return strings.TrimSpace(knownhosts.Line([]string{address}, key))
}
