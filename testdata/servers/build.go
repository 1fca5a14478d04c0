package servers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// build gives the program of the nested module testdata/servers/<module>, which
// it builds unless the same sources were built on this machine before. It may
// take minutes.
func build(ctx context.Context, module string) (string, error) {
	dir, err := moduleDir(module)
	if err != nil {
		return "", err
	}
	key, err := sourceKey(dir)
	if err != nil {
		return "", fmt.Errorf("build %s: %w", module, err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("build %s: %w", module, err)
	}
	cache = filepath.Join(cache, "weir-test-servers", key)
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("build %s: %w", module, err)
	}
	unlock, err := lock(filepath.Join(cache, "lock"))
	if err != nil {
		return "", fmt.Errorf("build %s: %w", module, err)
	}
	defer unlock()

	program := filepath.Join(cache, module)
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	unfinished := program + ".unfinished"
	if err := goBuild(ctx, dir, unfinished); err != nil {
		return "", err
	}
	if err := os.Rename(unfinished, program); err != nil {
		return "", fmt.Errorf("build %s: %w", module, err)
	}
	return program, nil
}

// goBuild builds the module in dir as it is pinned there, whatever workspace,
// flags or C compiler the machine has.
func goBuild(ctx context.Context, dir, program string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-o", program, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build in %s: %w\n%s", dir, err, out)
	}
	return nil
}

// moduleDir finds testdata/servers/<module> from the directory of the package
// under test upwards.
func moduleDir(module string) (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find testdata/servers/%s: %w", module, err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		candidate := filepath.Join(dir, "testdata", "servers", module)
		if _, err := os.Stat(filepath.Join(candidate, "go.mod")); err == nil {
			return candidate, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find testdata/servers/%s: not in %s nor above it", module, start)
		}
	}
}

// sourceKey is the hash of what the program is made of.
func sourceKey(dir string) (string, error) {
	sources, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return "", err
	}
	sources = append(sources, filepath.Join(dir, "go.mod"), filepath.Join(dir, "go.sum"))
	hash := sha256.New()
	fmt.Fprintf(hash, "%s/%s\n", runtime.GOOS, runtime.GOARCH)
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %d\n", filepath.Base(source), len(text))
		hash.Write(text)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// lock waits for the only right to build in a directory.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { file.Close() }, nil
}
