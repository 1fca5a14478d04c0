package git

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/weir-engine/weir/tasks"
)

// wire speaks git's protocol with one repository on a server, for one goroutine.
type wire interface {
	// references asks the service for its references. For git-upload-pack, an
	// empty repository is transport.ErrEmptyRemoteRepository.
	references(ctx context.Context, service string) (*packp.AdvRefs, error)
	// fetch asks for a pack, after references of git-upload-pack. It may be called
	// again.
	fetch(ctx context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error)
	// push sends an update, after references of git-receive-pack.
	push(ctx context.Context, req *packp.ReferenceUpdateRequest) (*packp.ReportStatus, error)
	// test reports the stages of connecting, up to "authenticate".
	test(ctx context.Context, report reporter) error
	Close() error
}

// remote is a repository on a server.
type remote struct {
	target   target
	wire     wire
	files    *os.Root
	progress func(done, total int64, message string)

	adv   *packp.AdvRefs
	packs []*remotePack
	at    plumbing.Hash // the commit that was loaded
}

// remotePack is a pack and where its history ends.
type remotePack struct {
	*pack
	shallows map[plumbing.Hash]bool
}

func (r *remote) Close() error {
	errs := []error{r.wire.Close()}
	for _, p := range r.packs {
		errs = append(errs, p.Close())
	}
	r.packs = nil
	return errors.Join(errs...)
}

// advertised asks the server once.
func (r *remote) advertised(ctx context.Context) (*packp.AdvRefs, error) {
	if r.adv == nil {
		adv, err := r.wire.references(ctx, transport.UploadPackServiceName)
		if err != nil {
			return nil, err
		}
		if format := adv.Capabilities.Get(capability.ObjectFormat); len(format) > 0 && format[0] != "sha1" {
			return nil, &tasks.Error{
				Kind: tasks.Permanent, Input: "repository_url",
				Message: fmt.Sprintf("the repository has the object format %s, which is not supported", oneLine(format[0])),
				Hint:    "only sha1 is",
			}
		}
		r.adv = adv
	}
	return r.adv, nil
}

func tableOf(adv *packp.AdvRefs) refTable {
	t := refTable{
		get: func(name plumbing.ReferenceName) (plumbing.Hash, bool) {
			if h, ok := adv.Peeled[name.String()]; ok {
				return h, true
			}
			h, ok := adv.References[name.String()]
			return h, ok
		},
		names: func() []string {
			var names []string
			for name := range adv.References {
				names = append(names, name)
			}
			return names
		},
	}
	if adv.Head != nil {
		t.headHash = *adv.Head
	}
	for _, link := range adv.Capabilities.Get(capability.SymRef) {
		if name, ok := strings.CutPrefix(link, "HEAD:"); ok {
			t.head = plumbing.ReferenceName(name)
		}
	}
	return t
}

func (r *remote) find(ctx context.Context, ref string) (point, error) {
	adv, err := r.advertised(ctx)
	if err != nil {
		return point{}, err
	}
	table := tableOf(adv)
	p, ok, err := table.lookup(ref)
	if err != nil || ok {
		return p, err
	}
	if isAbbreviation(ref) {
		hash, ok, err := r.findID(ctx, ref)
		if err != nil {
			return point{}, err
		}
		if ok {
			return point{ref: hash.String(), hash: hash}, nil
		}
	}
	return point{}, table.missing(ref)
}

func (r *remote) tip(ctx context.Context, name plumbing.ReferenceName) (plumbing.Hash, error) {
	adv, err := r.advertised(ctx)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		return plumbing.ZeroHash, nil
	}
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return adv.References[name.String()], nil
}

// findID finds a commit by its id: among the references, or in the history, which
// is fetched for it without files if the server can leave them out. A full id is
// taken as it is if the server gives out any commit.
func (r *remote) findID(ctx context.Context, ref string) (plumbing.Hash, bool, error) {
	found := map[plumbing.Hash]bool{}
	for _, refs := range []map[string]plumbing.Hash{r.adv.References, r.adv.Peeled} {
		for _, h := range refs {
			if strings.HasPrefix(h.String(), ref) {
				found[h] = true
			}
		}
	}
	if len(found) == 0 {
		full := plumbing.NewHash(ref)
		if plumbing.IsHash(ref) && r.givesAny() {
			_, err := r.get(ctx, request{wants: []plumbing.Hash{full}, depth: 1, filter: commitsOnly})
			if ctx.Err() != nil {
				return full, false, err
			}
			// Whatever it says of an id that it does not have, it does not have it.
			return full, err == nil, nil
		}
		if err := r.history(ctx); err != nil {
			return full, false, err
		}
		for _, p := range r.packs {
			for _, e := range p.entries {
				if strings.HasPrefix(hex.EncodeToString(e.hash[:]), ref) && e.kind == plumbing.CommitObject {
					found[e.hash] = true
				}
			}
		}
	}
	var hashes []plumbing.Hash
	for h := range found {
		hashes = append(hashes, h)
	}
	switch len(hashes) {
	case 0:
		return plumbing.ZeroHash, false, nil
	case 1:
		return hashes[0], true, nil
	}
	return plumbing.ZeroHash, false, ambiguous(ref, hashes)
}

// history fetches all commits, and everything with them from a server that gives
// nothing else than the ends of branches.
func (r *remote) history(ctx context.Context) error {
	req := request{}
	if r.givesAny() {
		req.filter = commitsOnly
	}
	seen := map[plumbing.Hash]bool{}
	for _, h := range r.adv.References {
		if !seen[h] {
			seen[h] = true
			req.wants = append(req.wants, h)
		}
	}
	_, err := r.get(ctx, req)
	return err
}

// givesAny tells whether the server gives out commits that no reference names.
func (r *remote) givesAny() bool {
	return r.adv.Capabilities.Supports(capability.AllowReachableSHA1InWant)
}

const (
	commitsOnly packp.Filter = "tree:0"
	treesOnly   packp.Filter = "blob:none"
)

// request is what to fetch.
type request struct {
	wants  []plumbing.Hash
	depth  int
	filter packp.Filter // ignored by servers that do not know filters
}

func (r *remote) load(ctx context.Context, p point, s scope) (objects, error) {
	req := request{wants: []plumbing.Hash{p.hash}, depth: s.depth}
	switch {
	case !s.trees:
		req.filter = commitsOnly
	case !s.blobs && (!s.lazy || r.givesAny()):
		req.filter = treesOnly
	}
	r.at = p.hash
	all := &remoteObjects{repo: r}
	if r.has(p.hash, s) {
		return all, nil
	}
	_, err := r.get(ctx, req)
	return all, err
}

// has tells whether finding the commit has fetched all that is needed.
func (r *remote) has(h plumbing.Hash, s scope) bool {
	if s.depth != 1 {
		return false
	}
	all := &remoteObjects{repo: r}
	c, err := readCommit(all, h)
	if err != nil {
		return false
	}
	if !s.trees {
		return true
	}
	_, err = all.object(c.TreeHash)
	return err == nil
}

// get fetches one pack.
func (r *remote) get(ctx context.Context, want request) (*remotePack, error) {
	resp, err := r.wire.fetch(ctx, r.request(want))
	if err != nil {
		return nil, err
	}
	defer resp.Close() //nolint:errcheck // everything was read, or another error tells
	var stream io.Reader = resp
	switch caps := r.adv.Capabilities; {
	case caps.Supports(capability.Sideband64k):
		stream = sideband.NewDemuxer(sideband.Sideband64k, resp)
	case caps.Supports(capability.Sideband):
		stream = sideband.NewDemuxer(sideband.Sideband, resp)
	}
	rp := &remotePack{shallows: map[plumbing.Hash]bool{}}
	for _, h := range resp.Shallows {
		rp.shallows[h] = true
	}
	o := packOptions{root: r.files, received: func(n int64) { r.progress(n, 0, "receiving") }}
	if want.filter == commitsOnly {
		// Commits come first. What follows from a server that does not know filters
		// is not waited for.
		o.enough = func(p *pack) bool { return p.complete(want.wants, rp.shallows) }
	}
	if rp.pack, err = readPack(ctx, stream, o); err != nil {
		return nil, err
	}
	r.packs = append(r.packs, rp)
	return rp, nil
}

func (r *remote) request(want request) *packp.UploadPackRequest {
	caps := r.adv.Capabilities
	req := packp.NewUploadPackRequestFromCapabilities(caps)
	set := func(c capability.Capability) bool { return caps.Supports(c) && req.Capabilities.Set(c) == nil }
	set(capability.NoProgress)
	if r.target.wantsMultiACK() {
		// go-git leaves it out of what servers say, since it cannot negotiate that
		// way. Without anything to negotiate, as here, the answer is the same.
		_ = req.Capabilities.Set(capability.MultiACKDetailed)
	}
	req.Wants = want.wants
	if want.depth > 0 && set(capability.Shallow) {
		req.Depth = packp.DepthCommits(want.depth)
	}
	if want.filter != "" && set(capability.Filter) {
		req.Filter = want.filter
	}
	return req
}

// wantsMultiACK is true for Azure DevOps, which refuses clients without it.
func (t target) wantsMultiACK() bool {
	return t.host == "dev.azure.com" || t.host == "ssh.dev.azure.com" || strings.HasSuffix(t.host, ".visualstudio.com")
}

func (r *remote) test(ctx context.Context, report reporter) error {
	if err := r.wire.test(ctx, report); err != nil {
		return err
	}
	adv, err := r.advertised(ctx)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		report("ls-remote", "the repository is empty", nil)
		return nil
	}
	detail := ""
	if err == nil {
		detail = tableOf(adv).summary()
	}
	report("ls-remote", detail, err)
	return err
}

// remoteObjects reads from all packs that were fetched.
type remoteObjects struct {
	repo    *remote
	readers []*packReader
}

// locate gives the reader that has an object.
func (o *remoteObjects) locate(h plumbing.Hash) (*packReader, int32, error) {
	for i, p := range o.repo.packs {
		if i == len(o.readers) {
			o.readers = append(o.readers, p.reader())
		}
		if at, ok := p.index[h]; ok {
			return o.readers[i], at, nil
		}
	}
	return nil, 0, plumbing.ErrObjectNotFound
}

func (o *remoteObjects) object(h plumbing.Hash) (plumbing.EncodedObject, error) {
	r, _, err := o.locate(h)
	if err != nil {
		return nil, err
	}
	return r.object(h)
}

func (o *remoteObjects) size(h plumbing.Hash) (int64, error) {
	r, i, err := o.locate(h)
	if err != nil {
		return 0, err
	}
	return r.pack.entries[i].size, nil
}

func (o *remoteObjects) copyTo(w io.Writer, h plumbing.Hash) error {
	r, _, err := o.locate(h)
	if err != nil {
		return err
	}
	return r.copyTo(w, h)
}

func (o *remoteObjects) need(ctx context.Context, hashes []plumbing.Hash) error {
	const enough = 2000 // above, the whole commit costs less than asking
	var missing []plumbing.Hash
	for _, h := range hashes {
		if _, _, err := o.locate(h); err != nil {
			missing = append(missing, h)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if len(missing) <= enough {
		if _, err := o.repo.get(ctx, request{wants: missing}); err == nil || ctx.Err() != nil {
			return err
		}
		// Not every server that gives any commit gives any file.
	}
	_, err := o.repo.get(ctx, request{wants: []plumbing.Hash{o.repo.at}, depth: 1})
	return err
}

func (o *remoteObjects) shallow(h plumbing.Hash) bool {
	for _, p := range o.repo.packs {
		if p.shallows[h] {
			return true
		}
	}
	return false
}

func (o *remoteObjects) fork() (objects, error) { return &remoteObjects{repo: o.repo}, nil }
