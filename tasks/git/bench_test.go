package git_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/weir-engine/weir/tasks/git"
	"github.com/weir-engine/weir/tasks/taskstest"
	"github.com/weir-engine/weir/testdata/servers"
)

// manyFiles is the repository of W8: 20,000 files of 130 MB, half of them
// random, half text.
const manyFiles = 20_000

var (
	manyOnce sync.Once
	manyDir  string
)

// many makes the repository once, below the directory that TestMain removes.
func many(b *testing.B) string {
	b.Helper()
	manyOnce.Do(func() {
		dir := filepath.Join(template(b), "many.git")
		cli(b, template(b), "init", "-q", "--bare", "-b", "main", dir)
		cmd := exec.Command("git", "fast-import", "--quiet")
		cmd.Dir = dir
		in, err := cmd.StdinPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		importMany(bufio.NewWriterSize(in, 1<<20))
		in.Close()
		if err := cmd.Wait(); err != nil {
			b.Fatal(err)
		}
		manyDir = dir
	})
	return manyDir
}

func importMany(w *bufio.Writer) {
	random := rand.NewChaCha8([32]byte{8})
	words := make([]string, 2000)
	for i := range words {
		word := make([]byte, 3+random.Uint64()%7)
		for j := range word {
			word[j] = 'a' + byte(random.Uint64()%26)
		}
		words[i] = string(word)
	}
	noise := make([]byte, 9000)
	for i := range manyFiles {
		fmt.Fprintf(w, "blob\nmark :%d\n", i+1)
		if i%2 == 0 {
			_, _ = random.Read(noise)
			fmt.Fprintf(w, "data %d\n", len(noise))
			_, _ = w.Write(noise)
		} else {
			var text []byte
			for range 1000 {
				text = append(append(text, words[random.Uint64()%2000]...), ' ')
			}
			fmt.Fprintf(w, "data %d\n", len(text))
			_, _ = w.Write(text)
		}
		_ = w.WriteByte('\n')
	}
	fmt.Fprint(w, "commit refs/heads/main\ncommitter A <a@example.com> 1700000000 +0000\ndata 4\nmany\n")
	for i := range manyFiles {
		fmt.Fprintf(w, "M 100644 :%d d%03d/s%d/f%05d.txt\n", i+1, i/100, i%5, i)
	}
	_ = w.Flush()
}

// BenchmarkW8 compares the driver with bare go-git and with the git program, over
// HTTP from the same server: git http-backend, which runs on the same machine.
// peak-MiB is the Go heap's growth, and the resident size of the git program,
// which includes the pack that it maps.
func BenchmarkW8(b *testing.B) {
	dir := many(b)
	server := servers.GitHTTP(b, servers.GitHTTPOptions{Root: filepath.Dir(dir)})
	url := server.URL + "/" + filepath.Base(dir)
	driver := git.New(git.Config{})

	b.Run("metadata/weir", func(b *testing.B) {
		taskstest.Benchmark(b, driver, map[string]any{"repository_url": url})
	})
	b.Run("metadata/go-git", func(b *testing.B) {
		taskstest.Peak(b, func() {
			for b.Loop() {
				repo := clone(b, url)
				head, err := repo.Head()
				if err != nil {
					b.Fatal(err)
				}
				if _, err := repo.CommitObject(head.Hash()); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
	b.Run("metadata/git", func(b *testing.B) {
		// The least that the program offers for it.
		program(b, "clone", "-q", "--depth", "1", "--no-tags", "--bare", url)
	})
	b.Run("get/weir", func(b *testing.B) {
		taskstest.Benchmark(b, driver, map[string]any{"command": "get", "repository_url": url, "files_path": "."})
	})
	b.Run("get/go-git", func(b *testing.B) {
		taskstest.Peak(b, func() {
			for b.Loop() {
				b.StopTimer()
				out := b.TempDir()
				b.StartTimer()
				writeAll(b, clone(b, url), out)
			}
		})
	})
	b.Run("get/git", func(b *testing.B) {
		program(b, "clone", "-q", "--depth", "1", "--no-tags", url)
	})
}

// clone is the leanest that go-git offers: one commit, in memory.
func clone(b *testing.B, url string) *gogit.Repository {
	b.Helper()
	repo, err := gogit.CloneContext(b.Context(), memory.NewStorage(), nil, &gogit.CloneOptions{
		URL: url, Depth: 1, SingleBranch: true, Tags: gogit.NoTags, NoCheckout: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	return repo
}

func writeAll(b *testing.B, repo *gogit.Repository, dir string) {
	b.Helper()
	head, err := repo.Head()
	if err != nil {
		b.Fatal(err)
	}
	commit, err := repo.CommitObject(head.Hash())
	if err != nil {
		b.Fatal(err)
	}
	files, err := commit.Files()
	if err != nil {
		b.Fatal(err)
	}
	if err := files.ForEach(func(f *object.File) error { return writeOne(dir, f) }); err != nil {
		b.Fatal(err)
	}
}

func writeOne(dir string, f *object.File) error {
	path := filepath.Join(dir, f.Name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	r, err := f.Reader()
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, r); err != nil {
		return err
	}
	return w.Close()
}

// program runs git with a directory to write into.
func program(b *testing.B, args ...string) {
	b.Helper()
	var peak int64
	for b.Loop() {
		b.StopTimer()
		out := filepath.Join(b.TempDir(), "out")
		b.StartTimer()
		cmd := exec.Command("git", append(args, out)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		if text, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, text)
		}
		if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			peak = max(peak, usage.Maxrss)
		}
	}
	b.ReportMetric(float64(peak)/(1<<10), "peak-MiB")
}
