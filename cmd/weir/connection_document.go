package main

import (
	"github.com/weir-engine/weir/connections"
)

// withValue gives a connection that has this value.
func withValue(c connections.Connection, value valueText) connections.Connection {
	c.Value, c.Text = value.node, value.text
	return c
}

func labelTree(labels map[string]string) map[string]any {
	tree := map[string]any{}
	for key, value := range labels {
		tree[key] = value
	}
	return tree
}

func secretTree(secrets []connections.AttachedSecret) []any {
	list := make([]any, len(secrets))
	for i, s := range secrets {
		tree := map[string]any{"path": s.Path}
		if s.Version != 0 {
			tree["version"] = int64(s.Version)
		}
		if s.Keys != nil {
			tree["keys"] = labelTree(s.Keys)
		}
		if s.Mount != "" {
			tree["mount"] = s.Mount
		}
		if s.Vault != "" {
			tree["vault"] = s.Vault
		}
		list[i] = tree
	}
	return list
}

// connectionTree gives a connection for programs.
func connectionTree(c connections.Connection, value valueText) map[string]any {
	tree := map[string]any{
		"name": c.Name, "type": c.Type, "value": value.node.Plain(), "source": c.Origin.Source,
		"secrets": secretTree(c.Secrets), "description": c.Description, "labels": labelTree(c.Labels), "pinned": anyList(c.Pinned),
	}
	if c.Shared != "" {
		tree["shared"] = string(c.Shared)
	}
	if c.TTL != 0 {
		tree["ttl"] = int64(c.TTL)
	}
	if c.Revision != 0 {
		tree["revision"] = c.Revision
	}
	if place := c.Origin.Pos.String(); place != "" {
		tree["place"] = place
	}
	return tree
}
