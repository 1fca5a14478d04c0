package connections

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
)

// FileSecrets reads secrets from a YAML file. It stands in for one Vault in
// development, under the same paths, whatever the name of its configuration:
//
//	secret/oracle:
//	  user: my-user
//	  password: my-secret-password
//
// The file must be a regular one that only its owner can read. It is read when a
// secret is first asked for, and again when it changes.
type FileSecrets struct {
	path string

	mu    sync.Mutex
	stamp stamp
	trees map[string]map[string]any // keys by normal path; leaves are secret.Values
	names map[string]string         // normal path to the path as typed
}

// OpenFileSecrets gives the secrets of the file at path. What is wrong with the
// file is the error of every read.
func OpenFileSecrets(path string) *FileSecrets { return &FileSecrets{path: path} }

// ReadSecret gives the keys of a path. The file keeps no versions: 0 and 1 name
// what it holds now.
func (f *FileSecrets) ReadSecret(ctx context.Context, ref secret.Ref) (secret.Data, error) {
	if err := ctx.Err(); err != nil {
		return secret.Data{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.refresh(); err != nil {
		err.Ref = ref
		return secret.Data{}, err
	}
	if ref.Version > 1 {
		return secret.Data{}, &secret.ReadError{
			Ref: ref, Reason: secret.NotFound,
			Detail: fmt.Sprintf("the file %s keeps no versions", f.path),
			Hint:   "leave the version out",
		}
	}
	keys, ok := f.trees[wholePath(ref)]
	if !ok {
		return secret.Data{}, f.missing(ref)
	}
	return secret.Data{Ref: ref, Keys: copyTree(keys).(map[string]any), Created: f.stamp.mtime}, nil
}

func (f *FileSecrets) missing(ref secret.Ref) *secret.ReadError {
	e := &secret.ReadError{Ref: ref, Reason: secret.NotFound, Detail: "it is not in the file " + f.path}
	near := schema.Nearest(wholePath(ref), slices.Sorted(maps.Keys(f.names)))
	if near != "" {
		e.Hint = fmt.Sprintf("did you mean %q?", f.names[near])
	}
	return e
}

// wholePath gives the path with the mount, if that is given apart, before it.
func wholePath(ref secret.Ref) string {
	if ref.Mount != "" {
		return ref.Mount + "/" + ref.Path
	}
	return normalPath(ref.Path)
}

// normalPath gives "secret/oracle" for "secret/data/oracle" as well.
func normalPath(path string) string {
	path = strings.Trim(path, "/")
	mount, rest, _ := strings.Cut(path, "/")
	if below, ok := strings.CutPrefix(rest, "data/"); ok {
		return mount + "/" + below
	}
	return path
}

// refresh reads the file unless it is as it was.
func (f *FileSecrets) refresh() *secret.ReadError {
	if f.trees != nil && f.stamp.holds(f.path) {
		return nil
	}
	text, stamp, err := readPrivate(f.path)
	if err != nil {
		return err
	}
	documents, problems := schema.Parse(f.path, text)
	if len(problems) > 0 {
		return f.invalid(problems[0])
	}
	trees, names := make(map[string]map[string]any), make(map[string]string)
	for _, d := range documents {
		if d.Node.Kind != schema.MapNode {
			return f.invalid(notMapping(d.Node.Pos, "a file of secrets", d.Node))
		}
		for _, e := range d.Node.Entries {
			path := normalPath(e.Key)
			switch _, twice := trees[path]; {
			case e.Value.Kind != schema.MapNode:
				return f.invalid(notMapping(e.Value.Pos, "a secret", e.Value))
			case twice:
				return f.invalid(schema.Problem{Pos: e.Pos, Message: fmt.Sprintf("the secret %q stands there twice", path)})
			}
			trees[path], names[path] = sealNode(e.Value).(map[string]any), e.Key
		}
	}
	f.trees, f.names, f.stamp = trees, names, stamp
	return nil
}

func (f *FileSecrets) invalid(p schema.Problem) *secret.ReadError {
	return &secret.ReadError{Ref: secret.Ref{Path: f.path}, Reason: secret.Invalid, Detail: p.String(), Hint: p.Hint}
}

// readPrivate reads a file after making sure that nobody else can.
func readPrivate(path string) ([]byte, stamp, *secret.ReadError) {
	refuse := func(why secret.Reason, detail, hint string) ([]byte, stamp, *secret.ReadError) {
		return nil, stamp{}, &secret.ReadError{Ref: secret.Ref{Path: path}, Reason: why, Detail: detail, Hint: hint}
	}
	// Looking before opening keeps a named pipe from blocking the program.
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return refuse(secret.Invalid, "the file of secrets is not a regular file", "")
	}
	var file *os.File
	if err == nil {
		file, err = os.Open(path) //nolint:gosec // the user names the file
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return refuse(secret.NotFound, "there is no such file of secrets", "")
	case errors.Is(err, fs.ErrPermission):
		return refuse(secret.Denied, "the file of secrets cannot be opened", "")
	case err != nil:
		return refuse(secret.Invalid, "the file of secrets cannot be opened: "+reason(err), "")
	}
	defer func() { _ = file.Close() }()
	if info, err = file.Stat(); err == nil && info.Mode().Perm()&0o077 != 0 {
		return refuse(secret.Denied, fmt.Sprintf("others than its owner can read the file of secrets (mode %04o)", info.Mode().Perm()), "chmod 600 "+path)
	}
	var text []byte
	if err == nil {
		text, err = io.ReadAll(io.LimitReader(file, maxFile))
	}
	if err == nil && len(text) == maxFile {
		err = errors.New("it has more than 16 MiB")
	}
	if err != nil {
		return refuse(secret.Invalid, "the file of secrets cannot be read: "+reason(err), "")
	}
	return text, stampOf(info), nil
}

// sealNode gives a tree with only secrets as leaves. What is typed is what a
// Vault would give: JSON numbers, true, false and null keep their type, and
// everything else is its text.
func sealNode(n schema.Node) any {
	switch n.Kind {
	case schema.ListNode:
		list := make([]any, len(n.Items))
		for i := range n.Items {
			list[i] = sealNode(n.Items[i])
		}
		return list
	case schema.MapNode:
		tree := make(map[string]any, len(n.Entries))
		for _, e := range n.Entries {
			tree[e.Key] = sealNode(e.Value)
		}
		return tree
	}
	text := n.Scalar.Text
	switch n.Scalar.Value.(type) {
	case nil:
		return secret.Of(nil)
	case bool:
		if text == "true" || text == "false" {
			return secret.Of(text == "true")
		}
	case int64, float64, json.Number:
		if json.Valid([]byte(text)) {
			return secret.Of(json.Number(text))
		}
	}
	return secret.New(text)
}
