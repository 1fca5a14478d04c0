package vaultint

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/weir-engine/weir/connections/secret"
)

// FromEnvironment gives the configuration that Vault's own command line would use:
// VAULT_ADDR (or VAULT_AGENT_ADDR), VAULT_NAMESPACE, VAULT_CACERT,
// VAULT_CACERT_BYTES, VAULT_CAPATH, VAULT_TLS_SERVER_NAME, VAULT_CLIENT_CERT,
// VAULT_CLIENT_KEY, VAULT_CLIENT_TIMEOUT, and VAULT_TOKEN or else the file .vault-token in the home directory. An address
// that is not set is https://127.0.0.1:8200.
//
// VAULT_SKIP_VERIFY is not honoured, nor are proxies, rate limits or retries set by
// VAULT_* variables.
func FromEnvironment(getenv func(string) string, home string) (Config, error) {
	config := Config{
		Name:          DefaultName,
		Address:       "https://127.0.0.1:8200",
		Namespace:     getenv("VAULT_NAMESPACE"),
		TLSServerName: getenv("VAULT_TLS_SERVER_NAME"),

		ClientCertFile: getenv("VAULT_CLIENT_CERT"),
		ClientKeyFile:  getenv("VAULT_CLIENT_KEY"),

		Auth: Auth{Method: MethodTokenFile, TokenFile: filepath.Join(home, ".vault-token")},
	}
	for _, name := range []string{"VAULT_ADDR", "VAULT_AGENT_ADDR"} {
		if address := getenv(name); address != "" {
			config.Address = address
		}
	}
	if token := getenv("VAULT_TOKEN"); token != "" {
		config.Auth = Auth{Method: MethodToken, Token: secret.New(token)}
	}
	var err error
	if config.Timeout, err = environmentTimeout(getenv("VAULT_CLIENT_TIMEOUT")); err != nil {
		return Config{}, err
	}
	if config.CACert, err = environmentCA(getenv); err != nil {
		return Config{}, err
	}
	return config, nil
}

// environmentTimeout reads a number of seconds or a duration such as "30s".
func environmentTimeout(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(seconds) * time.Second, nil
	}
	timeout, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("VAULT_CLIENT_TIMEOUT: %q is neither seconds nor a duration", text)
	}
	return timeout, nil
}

// environmentCA gives the authorities in Vault's order of precedence: a file, a
// text, a directory of files.
func environmentCA(getenv func(string) string) (string, error) {
	if file := getenv("VAULT_CACERT"); file != "" {
		text, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			return "", fmt.Errorf("VAULT_CACERT: %w", err)
		}
		return string(text), nil
	}
	if text := getenv("VAULT_CACERT_BYTES"); text != "" {
		return text, nil
	}
	dir := getenv("VAULT_CAPATH")
	if dir == "" {
		return "", nil
	}
	var all string
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("VAULT_CAPATH: %w", err)
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		info, err := os.Stat(path) // of what a link leads to
		if err == nil && info.IsDir() {
			continue
		}
		text, err := os.ReadFile(filepath.Clean(path))
		if err != nil {
			return "", fmt.Errorf("VAULT_CAPATH: %w", err)
		}
		all += string(text) + "\n"
	}
	if all == "" {
		return "", fmt.Errorf("VAULT_CAPATH: %s holds no file", dir)
	}
	return all, nil
}
