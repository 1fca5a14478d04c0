package all_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-engine/weir/tasks/all"
)

func TestRegistry(t *testing.T) {
	t.Parallel()
	r, err := all.Registry()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"FAKE", "GIT", "S3", "SQLORACLE"}, r.Types()); diff != "" {
		t.Errorf("task types (-want +got):\n%s", diff)
	}
}
