package httpapi

import (
	"context"
	"net/http"

	"github.com/weir-engine/weir/engine/api"
)

// Settings are a caller's settings.
type Settings interface {
	ListSettings(ctx context.Context) (api.Settings, error)
	Setting(ctx context.Context, name string) (api.SettingValue, error)
	SetSetting(ctx context.Context, name string, value api.SettingValue) (api.Done, error)
	DeleteSetting(ctx context.Context, name string) (api.Deleted, error)
}

// TaskTypes are the task types, which are the same for everybody.
type TaskTypes interface {
	ListTaskTypes(ctx context.Context) (api.TaskTypes, error)
	// TaskType gives all about one: inputs as JSON Schema, operations and outputs.
	TaskType(ctx context.Context, name string) (map[string]any, error)
}

// Vaults are a caller's Vault configurations. What is secret in them is masked.
type Vaults interface {
	ListVaults(ctx context.Context) (api.Vaults, error)
	Vault(ctx context.Context, name string) (map[string]any, error)
	PutVault(ctx context.Context, name string, config api.VaultConfiguration) (api.Done, error)
	RemoveVault(ctx context.Context, name string) (api.Done, error)
	// TestVault tries a Vault stage by stage. That it failed is no error.
	TestVault(ctx context.Context, name string, trial api.VaultTrial) (api.Tested, error)
}

// named names a setting or a Vault configuration.
type named struct {
	Name string `path:"name" minLength:"1" maxLength:"200"`
}

type setSetting struct {
	Name string `path:"name" minLength:"1" maxLength:"200"`
	Body api.SettingValue
}

type oneType struct {
	Type string `path:"type" maxLength:"64"`
}

type putVault struct {
	Name string `path:"name" maxLength:"128"`
	Body api.VaultConfiguration
}

type tryVault struct {
	Name string `path:"name" maxLength:"128"`
	Body api.VaultTrial
}

func (s *Server) settingRoutes() {
	handle(s, http.MethodGet, "/v1/settings", "list-settings", "List settings, without their values",
		func(ctx context.Context, c call[struct{}]) (api.Settings, error) { return c.Settings.ListSettings(ctx) })
	handle(s, http.MethodGet, "/v1/settings/{name}", "get-setting", "The value of a setting",
		func(ctx context.Context, c call[named]) (api.SettingValue, error) {
			return c.Settings.Setting(ctx, c.in.Name)
		})
	handle(s, http.MethodPut, "/v1/settings/{name}", "set-setting", "Write a setting",
		func(ctx context.Context, c call[setSetting]) (api.Done, error) {
			return c.Settings.SetSetting(ctx, c.in.Name, c.in.Body)
		})
	handle(s, http.MethodDelete, "/v1/settings/{name}", "delete-setting", "Remove the value of a setting",
		func(ctx context.Context, c call[named]) (api.Deleted, error) {
			return c.Settings.DeleteSetting(ctx, c.in.Name)
		})
	handle(s, http.MethodGet, "/v1/task-types", "list-task-types", "List the task types",
		func(ctx context.Context, c call[struct{}]) (api.TaskTypes, error) {
			return c.TaskTypes.ListTaskTypes(ctx)
		})
	handle(s, http.MethodGet, "/v1/task-types/{type}", "get-task-type", "The inputs, operations and outputs of a task type",
		func(ctx context.Context, c call[oneType]) (map[string]any, error) {
			return c.TaskTypes.TaskType(ctx, c.in.Type)
		})
}

func (s *Server) vaultRoutes() {
	handle(s, http.MethodGet, "/v1/vaults", "list-vaults", "List Vault configurations, secrets masked",
		func(ctx context.Context, c call[struct{}]) (api.Vaults, error) { return c.Vaults.ListVaults(ctx) })
	handle(s, http.MethodGet, "/v1/vaults/{name}", "get-vault", "A Vault configuration, secrets masked",
		func(ctx context.Context, c call[named]) (map[string]any, error) {
			return c.Vaults.Vault(ctx, c.in.Name)
		})
	handle(s, http.MethodPut, "/v1/vaults/{name}", "put-vault", "Store a Vault configuration",
		func(ctx context.Context, c call[putVault]) (api.Done, error) {
			return c.Vaults.PutVault(ctx, c.in.Name, c.in.Body)
		})
	handle(s, http.MethodDelete, "/v1/vaults/{name}", "remove-vault", "Remove a stored Vault configuration",
		func(ctx context.Context, c call[named]) (api.Done, error) {
			return c.Vaults.RemoveVault(ctx, c.in.Name)
		})
	handle(s, http.MethodPost, "/v1/vaults/{name}/test", "test-vault", "Try a Vault stage by stage",
		func(ctx context.Context, c call[tryVault]) (api.Tested, error) {
			return c.Vaults.TestVault(ctx, c.in.Name, c.in.Body)
		})
}
