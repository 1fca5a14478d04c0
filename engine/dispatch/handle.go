package dispatch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/engine"
)

// handles lays the secrets that a flow's handles name into its inputs.
type handles struct {
	reader   connections.SecretReader
	masked   []secret.Value // every value that was laid in
	used     []secret.Data  // without their keys
	warnings []string       // of secrets that may be outdated
}

// lay gives a copy of the tree in which each engine.SecretRef is replaced by what
// it names, whose leaves are secret.Values.
func (h *handles) lay(ctx context.Context, tree any) (any, error) {
	switch node := tree.(type) {
	case engine.SecretRef:
		return h.read(ctx, node)
	case map[string]any:
		return h.layMap(ctx, node)
	case []any:
		laid := make([]any, len(node))
		for i, child := range node {
			value, err := h.lay(ctx, child)
			if err != nil {
				return nil, err
			}
			laid[i] = value
		}
		return laid, nil
	}
	return tree, nil
}

func (h *handles) layMap(ctx context.Context, node map[string]any) (map[string]any, error) {
	laid := make(map[string]any, len(node))
	for key, child := range node {
		value, err := h.lay(ctx, child)
		if err != nil {
			return nil, err
		}
		laid[key] = value
	}
	return laid, nil
}

func (h *handles) read(ctx context.Context, handle engine.SecretRef) (any, error) {
	ref, key, err := parseHandle(handle)
	if err != nil {
		return nil, err
	}
	data, err := h.reader.ReadSecret(ctx, ref)
	if err != nil {
		return nil, err
	}
	value, ok := data.Keys[key]
	if !ok {
		return nil, &secret.ReadError{
			Ref: ref, Reason: secret.NoKey,
			Detail: fmt.Sprintf("it has no key %q", key),
			Hint:   "its keys are " + strings.Join(slices.Sorted(maps.Keys(data.Keys)), ", "),
		}
	}
	if warning := data.Warning(); warning != "" {
		h.warnings = append(h.warnings, warning)
	}
	data.Keys = nil
	h.used = append(h.used, data)
	h.mask(value)
	return value, nil
}

// mask collects the secret leaves of what a handle gave.
func (h *handles) mask(tree any) {
	switch node := tree.(type) {
	case secret.Value:
		h.masked = append(h.masked, node)
	case map[string]any:
		for _, child := range node {
			h.mask(child)
		}
	case []any:
		for _, child := range node {
			h.mask(child)
		}
	}
}

// parseHandle splits "path#key" or "vault:path#key".
func parseHandle(handle engine.SecretRef) (secret.Ref, string, error) {
	path, key, ok := strings.Cut(string(handle), "#")
	if !ok || path == "" || key == "" {
		return secret.Ref{}, "", &secret.ReadError{
			Ref: secret.Ref{Path: path}, Reason: secret.Invalid,
			Detail: "a handle is \"path#key\"",
			Hint:   `write secret("secret/oracle#password")`,
		}
	}
	ref := secret.Ref{Path: path}
	if vault, rest, named := strings.Cut(path, ":"); named {
		ref.Vault, ref.Path = vault, rest
	}
	return ref, key, nil
}
