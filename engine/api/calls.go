package api

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strconv"
)

func executionPath(id string, more string) string {
	return "/v1/executions/" + url.PathEscape(id) + more
}

func get[O any](ctx context.Context, c *Client, path string, query url.Values) (out O, err error) {
	err = c.call(ctx, request{method: http.MethodGet, path: path, query: query}, &out)
	return out, err
}

func send[O any](ctx context.Context, c *Client, method, path string, body any) (out O, err error) {
	err = c.call(ctx, request{method: method, path: path, body: body}, &out)
	return out, err
}

// ListExecutions gives a page of executions, the newest first.
func (c *Client) ListExecutions(ctx context.Context, filter ExecutionFilter) (Executions, error) {
	query := url.Values{}
	set := func(name, value string) {
		if value != "" && value != "0" && value != "false" {
			query.Set(name, value)
		}
	}
	set("status", filter.Status)
	set("flow", filter.Flow)
	set("children", strconv.FormatBool(filter.Children))
	set("limit", strconv.Itoa(filter.Limit))
	set("after", filter.After)
	return get[Executions](ctx, c, "/v1/executions", query)
}

// Execution gives an execution without its steps.
func (c *Client) Execution(ctx context.Context, id string) (Execution, error) {
	return get[Execution](ctx, c, executionPath(id, ""), nil)
}

// largestPage is as much as a server gives at once.
const largestPage = 10_000

func pageQuery(after string, limit int) url.Values {
	query := url.Values{"limit": {strconv.Itoa(cmp.Or(limit, largestPage))}}
	if after != "" {
		query.Set("after", after)
	}
	return query
}

// ExecutionTree gives an execution and all below it, itself first: at most limit of
// them, from after the one of that id on. A limit of 0 gives all, page by page.
func (c *Client) ExecutionTree(ctx context.Context, id, after string, limit int) (tree Executions, err error) {
	for {
		page, err := get[Executions](ctx, c, executionPath(id, "/tree"), pageQuery(after, limit))
		if err != nil {
			return page, err
		}
		tree.Executions, tree.Next = append(tree.Executions, page.Executions...), page.Next
		if after = page.Next; limit > 0 || after == "" {
			return tree, nil
		}
	}
}

// Timeline gives an execution with its steps, and those of the flows it started: at
// most limit of them in sum, from after that step on. A limit of 0 gives all, page by
// page.
func (c *Client) Timeline(ctx context.Context, id, after string, limit int) (Detail, error) {
	detail, err := get[Detail](ctx, c, executionPath(id, "/timeline"), pageQuery(after, limit))
	if err != nil || limit > 0 {
		return detail, err
	}
	return detail, c.complete(ctx, &detail)
}

// complete asks for the steps that are not there yet.
func (c *Client) complete(ctx context.Context, d *Detail) error {
	for seen := 0; ; {
		for ; seen < len(d.Steps); seen++ {
			if child := d.Steps[seen].Flow; child != nil {
				if err := c.complete(ctx, child); err != nil {
					return err
				}
			}
		}
		if !d.More {
			return nil
		}
		after := ""
		if seen > 0 {
			after = d.Steps[seen-1].Step
		}
		page, err := get[Detail](ctx, c, executionPath(d.ID, "/timeline"), pageQuery(after, 0))
		if err != nil {
			return err
		}
		d.Steps, d.Questions = append(d.Steps, page.Steps...), append(d.Questions, page.Questions...)
		d.More = page.More && len(page.Steps) > 0
	}
}

// Log gives lines of the log of an execution and all below it.
func (c *Client) Log(ctx context.Context, id string, after int64, limit int) (Log, error) {
	return get[Log](ctx, c, executionPath(id, "/log"), url.Values{
		"after": {strconv.FormatInt(after, 10)}, "limit": {strconv.Itoa(limit)},
	})
}

// Start starts a flow.
func (c *Client) Start(ctx context.Context, start Start) (out Execution, err error) {
	r := request{method: http.MethodPost, path: "/v1/executions", body: start}
	if start.Key != "" {
		r.header = map[string]string{"Idempotency-Key": start.Key}
	}
	err = c.call(ctx, r, &out)
	return out, err
}

// Order cancels, pauses, resumes or retries an execution.
func (c *Client) Order(ctx context.Context, id string, order Order) (Ordered, error) {
	return send[Ordered](ctx, c, http.MethodPost, executionPath(id, "/"+url.PathEscape(order.Verb)), nil)
}

// Repeat starts a new execution of the text and inputs of another.
func (c *Client) Repeat(ctx context.Context, id string) (Execution, error) {
	return send[Execution](ctx, c, http.MethodPost, executionPath(id, "/repeat"), nil)
}

// Answer answers a question of an execution.
func (c *Client) Answer(ctx context.Context, id string, answer Answer) (Answered, error) {
	return send[Answered](ctx, c, http.MethodPost, executionPath(id, "/answer"), answer)
}

// ApplyFlows stores new versions of flows.
func (c *Client) ApplyFlows(ctx context.Context, texts []FlowText) (Flows, error) {
	return send[Flows](ctx, c, http.MethodPut, "/v1/flows", map[string]any{"flows": texts})
}

// ListFlows gives the newest version of each flow, without texts.
func (c *Client) ListFlows(ctx context.Context) (Flows, error) {
	return get[Flows](ctx, c, "/v1/flows", nil)
}

// Flow gives a version of a flow with its text; 0 is the newest.
func (c *Client) Flow(ctx context.Context, name string, version int) (Flow, error) {
	query := url.Values{"name": {name}}
	if version != 0 {
		query.Set("version", strconv.Itoa(version))
	}
	return get[Flow](ctx, c, "/v1/flow", query)
}

// FlowVersions gives all versions of a flow, the newest first, without texts.
func (c *Client) FlowVersions(ctx context.Context, name string) (Flows, error) {
	return get[Flows](ctx, c, "/v1/flow/versions", url.Values{"name": {name}})
}

// DeleteFlow deletes a flow and its versions.
func (c *Client) DeleteFlow(ctx context.Context, name string) (out Deleted, err error) {
	err = c.call(ctx, request{method: http.MethodDelete, path: "/v1/flow", query: url.Values{"name": {name}}}, &out)
	return out, err
}

func connectionPath(name, more string) string {
	return "/v1/connections/" + url.PathEscape(name) + more
}

func revisionQuery(revision int64) url.Values {
	query := url.Values{}
	if revision != 0 {
		query.Set("revision", strconv.FormatInt(revision, 10))
	}
	return query
}

// ListConnections gives all connections, without their values.
func (c *Client) ListConnections(ctx context.Context) (Connections, error) {
	return get[Connections](ctx, c, "/v1/connections", nil)
}

// Connection gives a connection, or a revision of a stored one; 0 is the newest.
func (c *Client) Connection(ctx context.Context, name string, revision int64) (Connection, error) {
	return get[Connection](ctx, c, connectionPath(name, ""), revisionQuery(revision))
}

// ConnectionRevisions gives the revisions of a stored connection.
func (c *Client) ConnectionRevisions(ctx context.Context, name string) (Revisions, error) {
	return get[Revisions](ctx, c, connectionPath(name, "/revisions"), nil)
}

// ExportConnections gives the named connections as YAML documents, or all stored ones.
func (c *Client) ExportConnections(ctx context.Context, names []string, revision int64) (Export, error) {
	query := revisionQuery(revision)
	query["name"] = names
	return get[Export](ctx, c, "/v1/connection-export", query)
}

// CreateConnection stores a new connection.
func (c *Client) CreateConnection(ctx context.Context, text ConnectionText) (Changes, error) {
	return send[Changes](ctx, c, http.MethodPost, "/v1/connections", text)
}

// ApplyConnections creates and updates connections.
func (c *Client) ApplyConnections(ctx context.Context, text ConnectionText) (Changes, error) {
	return send[Changes](ctx, c, http.MethodPut, "/v1/connections", text)
}

// EditConnection changes a connection.
func (c *Client) EditConnection(ctx context.Context, name string, text ConnectionText) (Changes, error) {
	return send[Changes](ctx, c, http.MethodPut, connectionPath(name, ""), text)
}

// ChangeSecret attaches a secret to a connection, or detaches one.
func (c *Client) ChangeSecret(ctx context.Context, name string, change SecretChange) (Changes, error) {
	return send[Changes](ctx, c, http.MethodPost, connectionPath(name, "/secrets"), change)
}

// DeleteConnection deletes a stored connection.
func (c *Client) DeleteConnection(ctx context.Context, name string) (Deleted, error) {
	return send[Deleted](ctx, c, http.MethodDelete, connectionPath(name, ""), nil)
}

// ExplainConnection tells where each input of a connection comes from, into out, which
// is a *connections.Explanation.
func (c *Client) ExplainConnection(ctx context.Context, name string, overrides Overrides, out any) error {
	return c.call(ctx, request{method: http.MethodPost, path: connectionPath(name, "/explain"), body: overrides}, out)
}

// TestConnection tries a connection.
func (c *Client) TestConnection(ctx context.Context, name string, overrides Overrides) (Tested, error) {
	return send[Tested](ctx, c, http.MethodPost, connectionPath(name, "/test"), overrides)
}

func vaultPath(name, more string) string { return "/v1/vaults/" + url.PathEscape(name) + more }

// ListVaults gives all Vault configurations, secrets masked.
func (c *Client) ListVaults(ctx context.Context) (Vaults, error) {
	return get[Vaults](ctx, c, "/v1/vaults", nil)
}

// Vault gives a Vault configuration, secrets masked.
func (c *Client) Vault(ctx context.Context, name string) (map[string]any, error) {
	return get[map[string]any](ctx, c, vaultPath(name, ""), nil)
}

// PutVault stores a Vault configuration.
func (c *Client) PutVault(ctx context.Context, name string, config VaultConfiguration) (Done, error) {
	return send[Done](ctx, c, http.MethodPut, vaultPath(name, ""), config)
}

// RemoveVault removes a stored Vault configuration.
func (c *Client) RemoveVault(ctx context.Context, name string) (Done, error) {
	return send[Done](ctx, c, http.MethodDelete, vaultPath(name, ""), nil)
}

// TestVault tries a Vault stage by stage.
func (c *Client) TestVault(ctx context.Context, name string, trial VaultTrial) (Tested, error) {
	return send[Tested](ctx, c, http.MethodPost, vaultPath(name, "/test"), trial)
}

// Me tells who the holder of the token is.
func (c *Client) Me(ctx context.Context) (Me, error) { return get[Me](ctx, c, "/v1/me", nil) }
