package git

import (
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kevinburke/ssh_config"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/tasks"
)

// identity is how to log in over SSH. It is no printable value: it holds keys.
type identity struct {
	signers  []ssh.Signer
	password string
	agent    string // socket; empty: none
	conn     net.Conn
}

func (id *identity) Close() error {
	if id.conn == nil {
		return nil
	}
	err := id.conn.Close()
	id.conn = nil
	return err
}

// methods gives what to try, in order.
func (id *identity) methods() []ssh.AuthMethod {
	var methods []ssh.AuthMethod
	if len(id.signers) > 0 || id.agent != "" {
		methods = append(methods, ssh.PublicKeysCallback(id.allSigners))
	}
	if password := id.password; password != "" {
		methods = append(methods, ssh.Password(password),
			ssh.KeyboardInteractive(func(_, _ string, questions []string, echos []bool) ([]string, error) {
				answers := make([]string, len(questions))
				for i := range questions {
					if !echos[i] {
						answers[i] = password
					}
				}
				return answers, nil
			}))
	}
	return methods
}

func (id *identity) allSigners() ([]ssh.Signer, error) {
	signers := id.signers
	if id.agent == "" {
		return signers, nil
	}
	if id.conn == nil {
		conn, err := net.Dial("unix", id.agent) //nolint:noctx // a local socket answers at once or never
		if err != nil {
			return signers, nil // an agent that has gone is no agent
		}
		id.conn = conn
	}
	keys, err := agent.NewClient(id.conn).Signers()
	if err != nil {
		return signers, nil
	}
	return append(keys, signers...), nil
}

// givenSSH gives the credentials in the inputs, nil if there are none.
func givenSSH(in schema.Inputs) (*identity, error) {
	if in.Has("ssh_key") {
		signer, err := parseKey(in.Secret("ssh_key").Reveal(), in.Secret("ssh_key_passphrase").Reveal())
		if err != nil {
			return nil, err
		}
		return &identity{signers: []ssh.Signer{signer}}, nil
	}
	if in.Has("password") {
		return &identity{password: in.Secret("password").Reveal()}, nil
	}
	return nil, nil //nolint:nilnil // there are none
}

// parseKey reads a private key. It mends what copying does to line ends.
func parseKey(text, passphrase string) (ssh.Signer, error) {
	pem := []byte(strings.ReplaceAll(strings.TrimSpace(text), "\r", "") + "\n")
	signer, err := ssh.ParsePrivateKey(pem)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		if passphrase == "" {
			return nil, badKey("ssh_key_passphrase", "ssh_key is encrypted, and there is no passphrase", "give `ssh_key_passphrase`")
		}
		signer, err = ssh.ParsePrivateKeyWithPassphrase(pem, []byte(passphrase))
		if errors.Is(err, x509.IncorrectPasswordError) {
			return nil, badKey("ssh_key_passphrase", "ssh_key_passphrase does not open ssh_key", "")
		}
	}
	if err != nil {
		return nil, badKey("ssh_key", "ssh_key is no private key in OpenSSH or PEM format",
			"it begins with a line like -----BEGIN OPENSSH PRIVATE KEY----- and keeps its line breaks")
	}
	return signer, nil
}

// complete adds what this machine's SSH configuration, agent and key files say.
func (c Config) complete(w *sshWire) error {
	dir := filepath.Join(c.home(), ".ssh")
	alias := w.target.host
	get := func(string) string { return "" }
	if f, err := os.Open(filepath.Join(dir, "config")); err == nil { //nolint:gosec // the user's own file
		defer f.Close() //nolint:errcheck // only read
		config, err := ssh_config.Decode(f)
		if err != nil {
			return badKey("auth_method", "~/.ssh/config cannot be read: "+oneLine(err.Error()), "")
		}
		get = func(key string) string {
			value, _ := config.Get(alias, key)
			return value
		}
	}
	if name := get("HostName"); name != "" {
		w.target.host = strings.ReplaceAll(name, "%h", alias)
	}
	if port, err := strconv.Atoi(get("Port")); err == nil && w.target.port == 22 {
		w.target.port = port
	}
	if w.target.user == "" {
		w.target.user = get("User")
	}
	if w.identity != nil {
		return nil
	}
	files := exists(filepath.Join(dir, "id_ed25519"), filepath.Join(dir, "id_ecdsa"), filepath.Join(dir, "id_rsa"))
	if file := get("IdentityFile"); file != "" {
		if rest, ok := strings.CutPrefix(file, "~/"); ok {
			file = filepath.Join(c.home(), rest)
		}
		files = append(exists(file), files...)
	}
	id := &identity{agent: c.agentSocket()}
	for _, file := range files {
		text, err := os.ReadFile(file) //nolint:gosec // the user's own file
		if err != nil {
			continue
		}
		// One that needs a passphrase is for the agent.
		if signer, err := parseKey(string(text), ""); err == nil {
			id.signers = append(id.signers, signer)
		}
	}
	if id.agent == "" && len(id.signers) == 0 {
		return &tasks.Error{
			Kind: tasks.Denied, Input: "auth_method",
			Message: "there is no SSH agent, and no key without a passphrase in " + dir,
			Hint:    "start an agent, or give `ssh_key`",
		}
	}
	w.identity = id
	return nil
}
