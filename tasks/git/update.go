package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/weir-engine/weir/tasks"
)

// update pushes one reference. The server itself makes sure that it is still
// where u says.
func (r *remote) update(ctx context.Context, u update) error {
	adv, err := r.wire.references(ctx, transport.ReceivePackServiceName)
	if err != nil && !errors.Is(err, transport.ErrEmptyRemoteRepository) {
		return err
	}
	if now := adv.References[u.name.String()]; now != u.old {
		return moved(u, now)
	}
	req := packp.NewReferenceUpdateRequestFromCapabilities(adv.Capabilities)
	req.Commands = []*packp.Command{{Name: u.name, Old: u.old, New: u.new}}
	var said bytes.Buffer
	if adv.Capabilities.Supports(capability.Sideband64k) {
		_ = req.Capabilities.Set(capability.Sideband64k)
		req.Progress = &said
	}
	content, err := encode(u.objects)
	if err != nil {
		return err
	}
	req.Packfile = io.NopCloser(content)
	report, err := r.wire.push(ctx, req)
	switch {
	case report != nil:
		return rejected(u, report, said.String())
	case err == nil && req.Capabilities.Supports(capability.ReportStatus):
		return &tasks.Error{Kind: tasks.Permanent, Message: "the server did not say whether it took the update"}
	}
	return err
}

// encode makes a pack of whole objects.
func encode(objs []plumbing.EncodedObject) (*bytes.Buffer, error) {
	store := memory.NewStorage()
	hashes := make([]plumbing.Hash, 0, len(objs))
	for _, o := range objs {
		h, err := store.SetEncodedObject(o)
		if err != nil {
			return nil, fmt.Errorf("make a pack: %w", err)
		}
		hashes = append(hashes, h)
	}
	var b bytes.Buffer
	if _, err := packfile.NewEncoder(&b, store, false).Encode(hashes, 0); err != nil {
		return nil, fmt.Errorf("make a pack: %w", err)
	}
	return &b, nil
}

// moved is the conflict of an update that came too late.
func moved(u update, now plumbing.Hash) error {
	e := &tasks.Error{Kind: tasks.Conflict, Hint: "nothing was written; do it again on top of what is there now"}
	switch {
	case u.old.IsZero():
		e.Message = fmt.Sprintf("%s exists already, at %s", u.name.Short(), now.String()[:7])
		e.Hint = ""
	case now.IsZero():
		e.Message = fmt.Sprintf("%s does not exist any more", u.name.Short())
	default:
		e.Message = fmt.Sprintf("%s has moved from %s to %s meanwhile", u.name.Short(), u.old.String()[:7], now.String()[:7])
	}
	return e
}

// rejected explains what the server reports of an update, nil if it was done.
// said is what it wrote for people.
func rejected(u update, report *packp.ReportStatus, said string) error {
	reason := ""
	if report.UnpackStatus != "ok" {
		reason = "unpack: " + report.UnpackStatus
	}
	for _, s := range report.CommandStatuses {
		if s.Status != "ok" {
			reason = s.Status
		}
	}
	if reason == "" {
		return nil
	}
	e := &tasks.Error{Kind: tasks.Denied, Message: fmt.Sprintf("the server refused %s: %s", u.name.Short(), oneLine(reason))}
	if text := oneLine(said); text != "" {
		e.Message += ": " + text
	}
	for _, sign := range []string{"cannot lock ref", "failed to update ref", "incorrect old value", "fetch first", "non-fast-forward", "stale info", "already exists", "reference already exists"} {
		if strings.Contains(strings.ToLower(reason+" "+said), sign) {
			e.Kind = tasks.Conflict
			e.Hint = "it has moved meanwhile, and nothing was written; do it again on top of what is there now"
			return e
		}
	}
	if strings.HasPrefix(reason, "unpack") {
		e.Kind = tasks.Permanent
	}
	return e
}
