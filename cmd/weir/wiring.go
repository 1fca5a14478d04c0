package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/singleflight"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/connections/secret"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/dispatch"
	"github.com/weir-engine/weir/engine/local"
	"github.com/weir-engine/weir/engine/store"
	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/all"
	"github.com/weir-engine/weir/vaultint"
)

// wired holds what a command has put together so far. Everything is made when it
// is first needed: a flow that needs no store opens none.
type wired struct {
	mu      sync.Mutex
	types   *tasks.Registry
	opened  *store.Store
	readers map[string]connections.SecretReader // by name of their source
	stamps  map[string]string                   // by the same: see secretSource.stored; of those that the store may replace
	unread  map[string]secret.Ref               // a secret that its source kept back, by name of the source
	closers []func() error
	client  *api.Client        // of the server that WEIR_ADDR names
	once    singleflight.Group // starts that have the same idempotency key
	serving bool               // this is the engine
}

// close ends everything that was opened, in the opposite order.
func (a *app) close() error {
	var failed error
	for i := len(a.closers) - 1; i >= 0; i-- {
		failed = errors.Join(failed, a.closers[i]())
	}
	a.closers = nil
	return failed
}

// tasks gives the task types.
func (a *app) tasks() (*tasks.Registry, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.types != nil {
		return a.types, nil
	}
	types, err := all.Registry()
	if err != nil {
		return nil, err
	}
	a.types = types
	a.closers = append(a.closers, func() error { types.Close(); return nil })
	return types, nil
}

// store opens the store, and makes it if there is none yet.
func (a *app) store(ctx context.Context) (*store.Store, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.opened != nil {
		return a.opened, nil
	}
	config, err := a.storeConfig()
	if err != nil {
		return nil, err
	}
	opened, err := store.Open(ctx, config)
	if err != nil {
		return nil, err
	}
	a.opened = opened
	a.closers = append(a.closers, opened.Close)
	return opened, nil
}

// masterKeyCredential is the name of the credential that a service manager gives.
const masterKeyCredential = "weir-master-key"

func keyFile(dir string) store.MasterKey { return store.KeyFile(filepath.Join(dir, "master.key")) }

// storeConfig says where the store is, and where its master key.
func (a *app) storeConfig() (store.Config, error) {
	dir, err := a.dataDir()
	config := store.Config{Dir: dir, Now: a.now, Key: keyFile(dir)}
	if text := a.getenv("WEIR_MASTER_KEY"); text != "" {
		config.Key = store.KeyText("WEIR_MASTER_KEY", text)
	} else if credentials := a.getenv("CREDENTIALS_DIRECTORY"); credentials != "" {
		file := filepath.Join(credentials, masterKeyCredential)
		if _, missing := os.Stat(file); missing == nil {
			config.Key = store.KeyCredential(file)
		}
	}
	return config, err
}

// existingStore opens the store; nil if there is none.
func (a *app) existingStore(ctx context.Context) (*store.Store, error) {
	dir, err := a.dataDir()
	if err != nil {
		return nil, nil // nowhere to have one
	}
	if !store.Exists(dir) {
		return nil, nil
	}
	return a.store(ctx)
}

// storeSource is the store as a source of connections, opened when it is asked.
type storeSource struct{ app *app }

// Get implements connections.Source.
func (s storeSource) Get(ctx context.Context, owner, name string) (connections.Connection, error) {
	opened, err := s.app.existingStore(ctx)
	if err != nil {
		return connections.Connection{}, err
	}
	if opened == nil {
		return connections.Connection{}, connections.ErrNotFound
	}
	return opened.Connections().Get(ctx, owner, name)
}

// List implements connections.Source.
func (s storeSource) List(ctx context.Context, owner string) ([]connections.Connection, error) {
	opened, err := s.app.existingStore(ctx)
	if opened == nil || err != nil {
		return nil, err
	}
	return opened.Connections().List(ctx, owner)
}

// sharedSource is what is shared with somebody, as a source of connections.
type sharedSource struct{ app *app }

// Get implements connections.Source.
func (s sharedSource) Get(ctx context.Context, owner, name string) (connections.Connection, error) {
	opened, err := s.app.existingStore(ctx)
	if err != nil {
		return connections.Connection{}, err
	}
	if opened == nil {
		return connections.Connection{}, connections.ErrNotFound
	}
	return opened.Shares().Get(ctx, owner, name)
}

// List implements connections.Source.
func (s sharedSource) List(ctx context.Context, owner string) ([]connections.Connection, error) {
	opened, err := s.app.existingStore(ctx)
	if opened == nil || err != nil {
		return nil, err
	}
	return opened.Shares().List(ctx, owner)
}

// resolver finds connections in files, the store and the task types' defaults.
func (a *app) resolver() (*connections.Resolver, error) {
	types, err := a.tasks()
	if err != nil {
		return nil, err
	}
	return connections.NewResolver(connections.ResolverConfig{
		Sources: []connections.Source{
			connections.OnlyFor(localOwner, connections.NewDirs(a.connectionDirs())),
			storeSource{a},
			sharedSource{a},
			connections.NewDefaults(types),
		},
		Secrets: a.secrets(),
		Types:   types,
	})
}

// secrets reads secrets from the sources that are configured.
func (a *app) secrets() connections.SecretReader {
	return &secretReader{app: a}
}

// secretReader opens an owner's source of that name; nil if there is none.
func (a *app) secretReader(ctx context.Context, owner, name string) (connections.SecretReader, error) {
	a.mu.Lock()
	reader := a.readers[readerKey(owner, name)]
	stamp, replaceable := a.stamps[readerKey(owner, name)]
	a.mu.Unlock()
	if reader != nil && (!replaceable || !a.replaced(ctx, owner, name, stamp)) {
		return reader, nil
	}
	sources, err := a.secretSources(ctx, owner)
	if err != nil {
		return nil, err
	}
	for _, source := range sources {
		if source.name == name {
			return a.openSecretSource(owner, source)
		}
	}
	return nil, nil
}

// replaced tells whether another process has written an owner's configuration since
// the source was opened, and forgets the source then.
func (a *app) replaced(ctx context.Context, owner, name, stamp string) bool {
	opened, err := a.existingStore(ctx)
	if opened == nil || err != nil {
		return false
	}
	now, err := opened.Documents(vaultDocuments).Stamp(ctx, owner, name)
	if err != nil || now == stamp { // what cannot be read is told of by whoever needs it
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if key := readerKey(owner, name); a.stamps[key] == stamp { // else somebody was faster
		delete(a.readers, key)
		delete(a.stamps, key)
	}
	return true
}

// readerKey names an owner's source of secrets: the owner of this machine has theirs
// under their own names.
func readerKey(owner, name string) string {
	if owner == localOwner {
		return name
	}
	return owner + "/" + name
}

func (a *app) openSecretSource(owner string, source secretSource) (connections.SecretReader, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := readerKey(owner, source.name)
	if reader := a.readers[key]; reader != nil {
		return reader, nil
	}
	if a.readers == nil {
		a.readers, a.stamps = map[string]connections.SecretReader{}, map[string]string{}
	}
	if owner != localOwner {
		if err := source.ofMachine(); err != nil {
			return nil, err
		}
	}
	if source.file != "" {
		reader := connections.OpenFileSecrets(source.file)
		a.readers[key] = reader
		return reader, nil
	}
	client, err := vaultint.New(source.vault)
	if err != nil {
		return nil, &secret.ReadError{
			Ref: secret.Ref{Vault: source.name}, Reason: secret.Invalid, Detail: err.Error(),
			Hint: "mend the configuration from " + source.origin,
		}
	}
	a.closers = append(a.closers, func() error { client.Close(); return nil })
	a.readers[key] = client
	if source.origin == originStore || source.origin == originEnvironment {
		a.stamps[key] = source.stored
	}
	return client, nil
}

// forgetSource has an owner's source of secrets opened anew when it is next needed,
// because its configuration was changed. Reads that are under way end with the old one.
func (a *app) forgetSource(owner, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.readers, readerKey(owner, name))
	delete(a.stamps, readerKey(owner, name))
}

// dispatcher runs steps.
func (a *app) dispatcher() (*dispatch.Dispatcher, error) {
	resolver, err := a.resolver()
	if err != nil {
		return nil, err
	}
	types, err := a.tasks()
	if err != nil {
		return nil, err
	}
	return dispatch.New(dispatch.Config{Resolver: resolver, Secrets: a.secrets(), Tasks: types})
}

// runner runs flows in this process.
func (a *app) runner(flowDirs []string) (*local.Runner, error) {
	dispatcher, err := a.dispatcher()
	if err != nil {
		return nil, err
	}
	return local.New(local.Config{Dispatcher: dispatcher, FlowDirs: flowDirs, Flows: a.namedFlow, YAML: yamlCodec{}})
}

// engine gives a runner that starts executions in the store, or serves it. The config
// has the limits and what else differs between the two.
func (a *app) engine(ctx context.Context, config local.Config) (*local.Runner, error) {
	opened, err := a.store(ctx)
	if err != nil {
		return nil, err
	}
	if config.Dispatcher, err = a.dispatcher(); err != nil {
		return nil, err
	}
	if config.FilesDir, err = a.filesRoot(); err != nil {
		return nil, err
	}
	if config.Store == nil {
		config.Store = opened.Executions()
	}
	config.Flows, config.YAML, config.Now = a.namedFlow, yamlCodec{}, a.now
	return local.New(config)
}

// yamlCodec is the yaml module of flows.
type yamlCodec struct{}

// Encode gives the YAML text of a tree of values.
func (yamlCodec) Encode(tree any) ([]byte, error) { return schema.Encode(tree) }

// Decode gives the tree of values of a text with one YAML document.
func (yamlCodec) Decode(text []byte) (any, error) {
	documents, problems := schema.Parse("", text)
	if len(problems) > 0 {
		return nil, problemsError(problems)
	}
	if len(documents) != 1 {
		return nil, errors.New("not one YAML document")
	}
	return documents[0].Node.Plain(), nil
}
