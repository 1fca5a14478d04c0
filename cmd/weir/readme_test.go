package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/weir-engine/weir/tasks/all"
)

var update = flag.Bool("update", false, "write what is generated into the files that hold it")

const readme = "../../README.md"

// TestReadmeTaskTypes keeps the README's table of task types what the drivers say.
func TestReadmeTaskTypes(t *testing.T) {
	t.Parallel()
	types, err := all.Registry()
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("\n| type | what it does | operations |\n|---|---|---|\n")
	for _, name := range types.Types() {
		spec, _ := types.Spec(name)
		first, _, _ := strings.Cut(spec.Doc, "\n")
		var operations []string
		for _, o := range spec.Operations {
			operations = append(operations, "`"+o.Name+"`")
		}
		fmt.Fprintf(&table, "| %s | %s | %s |\n", name, first, strings.Join(operations, " "))
	}
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	place := regexp.MustCompile(`(?s)(<!-- generated: [^\n]* -->\n).*?\n?(<!-- end -->)`)
	want := place.ReplaceAllString(string(text), "${1}"+table.String()+"\n${2}")
	if !place.Match(text) || string(text) == want {
		if !place.Match(text) {
			t.Error("README.md has no place for the table")
		}
		return
	}
	if *update {
		if err := os.WriteFile(readme, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Error("the README's task types are not what the drivers say; run: go test ./cmd/weir -run TestReadme -update")
}

// TestReadmeCommands keeps the two commands of a new user where CI finds them: one
// fenced block with one line in each of the two sections.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(text), "\n"); lines > 200 {
		t.Errorf("README.md has %d lines; 200 are the most that one reads", lines)
	}
	for section, start := range map[string]string{"Run it": "go run ./cmd/weir run ", "Test it": "go test "} {
		_, rest, ok := strings.Cut(string(text), "\n## "+section+"\n")
		if !ok {
			t.Errorf("README.md has no section %q", section)
			continue
		}
		rest, _, _ = strings.Cut(rest, "\n## ")
		blocks := strings.Split(rest, "```")
		if len(blocks) != 3 {
			t.Errorf("section %q has %d fenced blocks, want one", section, len(blocks)/2)
			continue
		}
		command := strings.TrimSpace(strings.TrimPrefix(blocks[1], "sh\n"))
		if strings.Contains(command, "\n") || !strings.HasPrefix(command, start) {
			t.Errorf("section %q: the command is %q", section, command)
		}
	}
}
