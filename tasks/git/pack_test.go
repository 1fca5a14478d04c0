package git_test

import (
	"bytes"
	"os"
	"os/exec"
	"testing"

	"github.com/weir-engine/weir/tasks/git"
)

// packs gives packs as git makes them: of whole objects, of deltas by distance
// and by name.
func packs(t testing.TB) [][]byte {
	t.Helper()
	dir := t.TempDir()
	cli(t, dir, "init", "-q", "-b", "main")
	for _, text := range []string{"1", "2", "3"} {
		write(t, dir, map[string]string{"f": string(bytes.Repeat([]byte("line of text\n"), 20)) + text, "g" + text: text})
		cli(t, dir, "add", "-A")
		cli(t, dir, "commit", "-q", "-m", text)
	}
	var all [][]byte
	for _, option := range []string{"--delta-base-offset", "--window=0", "--no-reuse-delta"} {
		cmd := exec.Command("git", "pack-objects", "--all", "--stdout", "-q", option)
		cmd.Dir = dir
		data, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data)
	}
	return all
}

func TestPacks(t *testing.T) {
	t.Parallel()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for i, data := range packs(t) {
		n, err := git.ReadPack(t.Context(), root, data)
		if err != nil || n != 12 {
			t.Errorf("pack %d: got %d objects, %v", i, n, err)
		}
		for cut := range data[:len(data)-20] {
			if cut%7 == 0 {
				if _, err := git.ReadPack(t.Context(), root, data[:cut]); err == nil {
					t.Fatalf("pack %d cut at %d of %d bytes is read", i, cut, len(data))
				}
			}
		}
	}
}

func FuzzPack(f *testing.F) {
	root, err := os.OpenRoot(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { root.Close() })
	for _, data := range packs(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = git.ReadPack(t.Context(), root, data) // it does not panic, hang or eat memory
	})
}
