// Package all is the list of the task types that weir comes with.
package all

import (
	"github.com/weir-engine/weir/tasks"
	"github.com/weir-engine/weir/tasks/fake"
	"github.com/weir-engine/weir/tasks/git"
	"github.com/weir-engine/weir/tasks/s3"
	"github.com/weir-engine/weir/tasks/sqloracle"
)

// Registry gives the registry of every driver.
func Registry() (*tasks.Registry, error) {
	return tasks.NewRegistry(
		fake.New(),
		git.New(git.Config{}),
		s3.New(s3.Config{}),
		sqloracle.New(sqloracle.Config{}),
	)
}
