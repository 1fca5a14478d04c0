package secret

import (
	"fmt"
	"strconv"
	"time"
)

// Ref names one secret at a source of secrets.
type Ref struct {
	// Vault is the name of a Vault configuration; empty means "default".
	Vault string
	// Path is the secret's path as its user wrote it: "secret/data/oracle" and
	// "secret/oracle" name the same secret of a KV version 2 mount.
	Path string
	// Mount is the mount's path where it is given apart; Path is then the secret's
	// name inside the mount, exactly. Empty means that the mount is found from Path.
	Mount string
	// Version pins a version of a KV version 2 secret; 0 means the newest.
	Version int
}

// String gives "path", "path@version" or "vault:path@version", the path with the
// mount before it. It is no secret.
func (r Ref) String() string {
	s := r.Path
	if r.Mount != "" {
		s = r.Mount + "/" + s
	}
	if r.Vault != "" && r.Vault != "default" {
		s = r.Vault + ":" + s
	}
	if r.Version != 0 {
		s += "@" + strconv.Itoa(r.Version)
	}
	return s
}

// Data is one version of a secret as its source gave it.
type Data struct {
	// Ref is where it was read, with the version that was read filled in
	// (0 where the source keeps no versions).
	Ref Ref
	// Keys maps each key of the secret to its value. A leaf is always a Value;
	// an inner node is a []any or a map[string]any.
	Keys map[string]any
	// Created is when this version was written; zero if the source does not say.
	Created time.Time
	// CachedUntil is until when a reader may see this same answer again without
	// the source being asked; zero if it is not cached.
	CachedUntil time.Time
	// ReadAt is when the source gave it; zero if that is not known.
	ReadAt time.Time
	// Outage is why the source could not be asked again, if it should have been and
	// its configuration tolerates that; nil if this is no older than it should be.
	Outage *ReadError
	// Metadata is the custom metadata of the secret, which is public; may be nil.
	Metadata map[string]string
}

// Warning says that the secret may be outdated, and why; empty if it is not. It is no
// secret.
func (d Data) Warning() string {
	if d.Outage == nil {
		return ""
	}
	return fmt.Sprintf("secret %q is as it was at %s, because its source cannot be asked: %s: %s",
		d.Ref, d.ReadAt.UTC().Format(time.RFC3339), d.Outage.Reason, d.Outage.Detail)
}
