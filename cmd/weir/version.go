package main

import (
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Say which weir this is", Args: exactly(0),
		RunE: func(*cobra.Command, []string) error {
			version, revision := buildVersion()
			platform := runtime.GOOS + "/" + runtime.GOARCH
			data := map[string]any{"version": version, "revision": revision, "go": runtime.Version(), "platform": platform}
			return a.print(data, func(t *table) {
				t.row(strings.Join(strings.Fields("weir "+version+" "+revision+" "+runtime.Version()+" "+platform), " "))
			})
		},
	}
}

// buildVersion gives the module's version and the commit that it was built from,
// as the Go toolchain recorded them.
func buildVersion() (version, revision string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", ""
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			revision = setting.Value
		}
	}
	return info.Main.Version, revision
}
