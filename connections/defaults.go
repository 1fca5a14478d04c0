package connections

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/weir-engine/weir/connections/schema"
)

// defaults is the source of the implicit connections "<type>.default".
type defaults struct{ types Types }

// NewDefaults gives the source of the implicit connections "<type>.default",
// which resolve the way that the other system's own tools do.
func NewDefaults(types Types) Source { return defaults{types} }

const defaultSuffix = ".default"

func (d defaults) Get(_ context.Context, owner, name string) (Connection, error) {
	prefix, ok := strings.CutSuffix(name, defaultSuffix)
	if !ok || prefix != strings.ToLower(prefix) {
		return Connection{}, ErrNotFound
	}
	taskType := strings.ToUpper(prefix)
	value, ok := d.types.Default(taskType)
	if !ok {
		return Connection{}, ErrNotFound
	}
	node, err := schema.NodeOf(value)
	if err != nil {
		return Connection{}, fmt.Errorf("default of task type %s: %w", taskType, err)
	}
	text, err := schema.EncodeNode(node)
	if err != nil {
		return Connection{}, fmt.Errorf("default of task type %s: %w", taskType, err)
	}
	return Connection{
		Name: name, Type: taskType, Value: node, Text: string(text), Owner: owner,
		Description: "implicit default of task type " + taskType,
		Origin:      Origin{Source: SourceDefault},
	}, nil
}

func (d defaults) List(ctx context.Context, owner string) ([]Connection, error) {
	var all []Connection
	for _, taskType := range d.types.Types() {
		name := strings.ToLower(taskType) + defaultSuffix
		c, err := d.Get(ctx, owner, name)
		if err == nil {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b Connection) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}
