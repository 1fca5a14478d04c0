package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

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
	token := vault.Token(t, servers.TokenConfig{Policies: []string{name}})
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	weir(guideLine(t, "weir vault add default --address https://vault.example.com:8200 --auth token_file ") + " --replace")
	weir(guideLine(t, "weir vault test "))
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
