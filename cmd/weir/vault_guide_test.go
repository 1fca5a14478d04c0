package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weir-engine/weir/testdata/servers"
)

// TestVaultGuide does what the guide says, on a real Vault: its policy, its role,
// its command lines.
func TestVaultGuide(t *testing.T) {
	t.Parallel()
	vault := servers.Vault(t)
	mount := vault.MountKV(t, 2)
	vault.PutKV(t, mount, "team/oracle", map[string]any{"password": "an-example-password"})

	policy := regexp.MustCompile(`(?s)  path "secret/data/team.*?\n  }`).FindString(vaultGuide)
	if policy == "" {
		t.Fatal("the guide has no policy")
	}
	name := vault.Policy(t, strings.ReplaceAll(policy, "secret/", mount+"/"))
	role := guideLine(t, "vault write auth/approle/role/weir ")
	settings := map[string]any{}
	for _, setting := range strings.Fields(role)[3:] {
		key, value, _ := strings.Cut(setting, "=")
		settings[key] = value
	}
	settings["token_policies"] = name
	login := vault.AppRole(t, settings)

	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret-id"), []byte(login.SecretID+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	replace := strings.NewReplacer(
		"https://vault.example.com:8200", vault.Address, "ROLE_ID", login.RoleID, "secret/", mount+"/",
		"/run/vault/token", filepath.Join(dir, "token"))
	weir := func(line string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), weirBinary(t), strings.Fields(replace.Replace(line))[1:]...)
		cmd.Dir, cmd.Env = dir, []string{"HOME=" + dir}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		return string(out)
	}
	weir(guideLine(t, "weir vault add default --address https://vault.example.com:8200 --role-id ") + " --mount " + login.Mount)
	if out := weir(guideLine(t, "weir vault test ")); !strings.Contains(out, "read") || strings.Contains(out, "an-example") {
		t.Errorf("vault test: %s", out)
	}
	if err := os.WriteFile(filepath.Join(dir, "wrapped"), []byte(vault.WrappedSecretID(t, login, time.Hour)), 0o600); err != nil {
		t.Fatal(err)
	}
	weir(guideLine(t, "weir vault add team ") + " --mount " + login.Mount)
	weir(strings.Replace(guideLine(t, "weir vault test "), "test", "test team", 1))
	token := vault.Token(t, servers.TokenConfig{Policies: []string{name}})
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	weir(guideLine(t, "weir vault add default --address https://vault.example.com:8200 --auth token_file ") + " --replace")
	weir(guideLine(t, "weir vault test "))
}

// TestVaultGuideCertificate does the same for the login by certificate.
func TestVaultGuideCertificate(t *testing.T) {
	t.Parallel()
	vault := servers.NewVault(t, servers.VaultConfig{TLS: true})
	authority := servers.NewAuthority(t, "clients")
	settings := map[string]any{}
	for _, setting := range strings.Fields(guideLine(t, "vault write auth/cert/certs/weir "))[4:] {
		key, value, _ := strings.Cut(setting, "=")
		settings[key] = value
	}
	mount := vault.CertLogin(t, authority, settings)
	pair := authority.Sign(t, servers.CertificateConfig{Name: "weir"})
	dir := t.TempDir()
	for file, text := range map[string]string{"weir.pem": pair.Cert, "weir.key": pair.Key, "ca.pem": vault.CACert} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	add := strings.ReplaceAll(guideLine(t, "weir vault add mutual "), "https://vault.example.com:8200", vault.Address)
	for _, line := range []string{add + " --ca-cert-file ca.pem --mount " + mount, "weir vault test mutual"} {
		cmd := exec.CommandContext(t.Context(), weirBinary(t), strings.Fields(line)[1:]...)
		cmd.Dir, cmd.Env = dir, []string{"HOME=" + dir}
		if out, err := cmd.CombinedOutput(); err != nil || strings.HasSuffix(line, "mutual") && !strings.Contains(string(out), "policies default, weir;") {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
}

// guideLine gives the guide's line that begins so.
func guideLine(t *testing.T, start string) string {
	t.Helper()
	for line := range strings.Lines(vaultGuide) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, start) {
			return line
		}
	}
	t.Fatalf("the guide has no line %q", start)
	return ""
}
