package api

import (
	"context"
	"net/http"
	"net/url"
)

func settingPath(name string) string { return "/v1/settings/" + url.PathEscape(name) }

// ListSettings gives all settings, without their values.
func (c *Client) ListSettings(ctx context.Context) (Settings, error) {
	return get[Settings](ctx, c, "/v1/settings", nil)
}

// Setting gives the value of a setting.
func (c *Client) Setting(ctx context.Context, name string) (SettingValue, error) {
	return get[SettingValue](ctx, c, settingPath(name), nil)
}

// SetSetting writes a setting.
func (c *Client) SetSetting(ctx context.Context, name string, value SettingValue) (Done, error) {
	return send[Done](ctx, c, http.MethodPut, settingPath(name), value)
}

// DeleteSetting removes the value of a setting.
func (c *Client) DeleteSetting(ctx context.Context, name string) (Deleted, error) {
	return send[Deleted](ctx, c, http.MethodDelete, settingPath(name), nil)
}

// ListTaskTypes gives the task types of the server.
func (c *Client) ListTaskTypes(ctx context.Context) (TaskTypes, error) {
	return get[TaskTypes](ctx, c, "/v1/task-types", nil)
}

// TaskType gives all about a task type.
func (c *Client) TaskType(ctx context.Context, name string) (map[string]any, error) {
	return get[map[string]any](ctx, c, "/v1/task-types/"+url.PathEscape(name), nil)
}
