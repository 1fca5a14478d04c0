package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/weir-engine/weir/"

// edges is the import table: package to the packages of this module that it may
// import. What is not listed is forbidden. "tasks/*" stands for every driver.
var edges = map[string][]string{
	// Leaves: everything may depend on them, so they depend on nothing.
	"connections/secret": {},
	"engine":             {},
	// A schema has secret leaves; Vault gives secrets. Neither knows connections.
	"connections/schema": {"connections/secret"},
	"vaultint":           {"connections/secret"},
	// What a connection is and what a task is are apart: dispatch joins them.
	"connections": {"connections/secret", "connections/schema"},
	"tasks":       {"connections/secret", "connections/schema"},
	// Drivers know nothing of engines and of each other.
	"tasks/*": {"tasks", "connections/secret", "connections/schema"},
	// The one readable list of drivers.
	"tasks/all": {"tasks", "tasks/fake", "tasks/git", "tasks/s3", "tasks/sqloracle"},
	// A script sees the world through engine.Host only.
	"flows":          {"engine", "connections/secret"},
	"flows/examples": {},
	"engine/journal": {"engine"},
	// One step, shared by all runners: it alone sees connections and tasks together.
	"engine/dispatch": {"engine", "connections", "connections/secret", "tasks"},
	"engine/store":    {"engine", "engine/journal", "connections"},
	"engine/local":    {"engine", "engine/journal", "engine/dispatch", "flows"},
	// Times are pure; what keeps schedules and what starts flows are handed in. Mistakes in
	// an expression name the nearest valid word as those in a connection do.
	"engine/schedule": {"engine", "connections/schema"},
	// The wire knows nothing of what is behind it; the server knows it by narrow interfaces.
	"engine/api": {},
	// Traces are made of what was written; nothing else of the engine knows of them.
	"engine/trace":   {"engine", "engine/journal"},
	"engine/httpapi": {"engine", "engine/api", "engine/journal", "connections", "tasks"},
	// What runners are tested with builds its own world of flows and tasks.
	"engine/enginetest": {"engine", "engine/journal", "engine/dispatch", "flows", "connections", "connections/secret", "tasks", "tasks/fake"},
}

// confined maps each SDK to the one package that may import it.
var confined = map[string]string{
	"github.com/yuin/gopher-lua":     "flows",
	"github.com/hashicorp/vault/api": "vaultint",
	"github.com/go-git/":             "tasks/git",
	"github.com/aws/":                "tasks/s3",
	"github.com/sijms/go-ora":        "tasks/sqloracle",
	"modernc.org/sqlite":             "engine/store",
	"github.com/pressly/goose":       "engine/store",
	"github.com/tink-crypto/":        "engine/store",
	"gopkg.in/yaml.v3":               "connections/schema",
	"github.com/danielgtaylor/huma":  "engine/httpapi",
	"github.com/prometheus/":         "engine/httpapi",
	"go.opentelemetry.io/":           "engine/trace",
	"github.com/netresearch/go-cron": "engine/schedule",
	"github.com/spf13/":              "cmd/weir",
	"github.com/vbauerster/mpb":      "cmd/weir",
}

// pure packages get clock, randomness and files handed in, so that a script or a
// journal replays the same way every time.
var pure = []string{"flows", "engine/journal", "engine"}

type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func TestImportTable(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if name == "cmd/weir" {
			for _, bad := range []string{"tasks/taskstest", "engine/enginetest", "testdata/servers"} {
				if slices.Contains(p.Deps, module+bad) {
					t.Errorf("cmd/weir depends on the test package %s", bad)
				}
			}
			continue
		}
		allowed, ok := allowedFor(name)
		if !ok {
			t.Errorf("package %s is not in the import table", name)
			continue
		}
		for _, imported := range p.Imports {
			checkImport(t, name, imported, allowed)
		}
	}
}

func allowedFor(name string) ([]string, bool) {
	if allowed, ok := edges[name]; ok {
		return allowed, true
	}
	if strings.HasPrefix(name, "tasks/") && strings.Count(name, "/") == 1 {
		return edges["tasks/*"], true
	}
	return nil, false
}

func checkImport(t *testing.T, name, imported string, allowed []string) {
	t.Helper()
	if own, ok := strings.CutPrefix(imported, module); ok && !slices.Contains(allowed, own) {
		t.Errorf("%s imports %s, which the import table does not allow", name, own)
	}
	for sdk, home := range confined {
		if strings.HasPrefix(imported, sdk) && name != home {
			t.Errorf("%s imports %s, which is confined to %s", name, imported, home)
		}
	}
	stdOnly := name == "connections/secret" || name == "engine" || name == "engine/api"
	if stdOnly && strings.Contains(strings.Split(imported, "/")[0], ".") {
		t.Errorf("%s imports %s, but may import the standard library only", name, imported)
	}
	impure := []string{"os", "net", "net/http", "crypto/rand", "math/rand"}
	if slices.Contains(pure, name) && slices.Contains(impure, imported) {
		t.Errorf("%s imports %s, but must be deterministic", name, imported)
	}
}

// TestNoTestCodeInBinary keeps testing packages out of the product.
func TestNoTestCodeInBinary(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		if p.ImportPath != module+"cmd/weir" {
			continue
		}
		for _, bad := range []string{"testing", "net/http/httptest", "github.com/stretchr/testify/assert"} {
			if slices.Contains(p.Deps, bad) {
				t.Errorf("the weir binary links %s", bad)
			}
		}
	}
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Deps", module+"...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
