package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-engine/weir/testdata/servers"
)

// soakTime is for how long TestSoak runs. Ten minutes, with the figures:
//
//	go test ./cmd/weir -run TestSoak -v -timeout 20m -soak 10m
var soakTime = flag.Duration("soak", 30*time.Second, "for how long TestSoak runs")

const (
	soakKills   = 5
	soakSecrets = 5  // of each configuration
	soakRate    = 10 // reads a second of each configuration, and how many may go at once
)

// soakVaults are two configurations of one Vault, which differ in what they make
// of an outage, and keep secrets for too short a time to stay below their limit of
// reads on that account.
const soakVaults = `
name: tolerant
tolerate: 1h
%s
---
name: strict
%s
`

const soakVault = `
address: %s
auth: approle
auth_mount: %s
role_id: %s
secret_id: %s
mounts: {%s: 2}
cache_ttl: 200ms
rate_limit: %d
`

// TestSoak has 50 flows connect all the time, while tokens live for five seconds,
// every secret is rotated each second, and Vault is killed, restarted and unsealed
// five times. Nothing fails where outages are tolerated, strict failures are clear,
// versions never go back, reads stay within the rate limit, and what the process
// holds does not grow. See soakTime for a longer one.
func TestSoak(t *testing.T) {
	t.Parallel()
	vault := servers.NewVault(t, servers.VaultConfig{Persistent: true})
	s := &soakRun{t: t, vault: vault, mount: vault.MountKV(t, 2), hidden: []string{soakPassword}}
	s.rotate()
	began := time.Now()
	reports := s.flows()
	s.report(<-reports) // every secret has been read now
	s.plan(reports)
	for r := range reports {
		s.report(r)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Fatalf("the flows ended with %v:\n%s", err, s.stderr.String())
	}
	s.checkReads(time.Since(began))
	s.checkFailures()
	s.checkGrowth()
}

// soakRun is a Vault and the process in which the flows run.
type soakRun struct {
	t         *testing.T
	vault     *servers.VaultServer
	mount     string
	rotations int
	hidden    []string // what no failure may hold

	cmd    *exec.Cmd
	stdin  io.Closer
	stderr strings.Builder
	rounds []soakReport
}

// rotate writes a new version of every secret.
func (s *soakRun) rotate() {
	s.t.Helper()
	s.rotations++
	for _, vault := range []string{"tolerant", "strict"} {
		for i := range soakSecrets {
			s.vault.PutKV(s.t, s.mount, soakName(vault, i), map[string]any{
				"user": "scott", "password": fmt.Sprintf("%s-%d", soakPassword, s.rotations),
			})
		}
	}
}

func soakName(vault string, i int) string { return fmt.Sprintf("%s-%d", vault, i) }

// flows starts the process. It ends when its standard input does.
func (s *soakRun) flows() <-chan soakReport {
	t := s.t
	t.Helper()
	policy := s.vault.Policy(t, fmt.Sprintf("path %q { capabilities = [\"read\"] }", s.mount+"/data/*"))
	config := func() string {
		role := s.vault.AppRole(t, map[string]any{"token_ttl": "5s", "token_max_ttl": "5s"}, policy)
		s.hidden = append(s.hidden, role.SecretID)
		return fmt.Sprintf(soakVault, s.vault.Address, role.Mount, role.RoleID, role.SecretID, s.mount, soakRate)
	}
	var connections strings.Builder
	for _, vault := range []string{"tolerant", "strict"} {
		for i := range soakSecrets {
			name := soakName(vault, i)
			fmt.Fprintf(&connections, "---\nname: %s\ntype: FAKE\nsecrets: [{path: %s/data/%s, vault: %s}]\n", name, s.mount, name, vault)
		}
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"vaults.yml":       fmt.Sprintf(soakVaults, config(), config()),
		"connections.yaml": connections.String(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program, err := exec.LookPath("weir-soak") // as TestMain has put it there
	if err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.CommandContext(t.Context(), program, dir)
	s.cmd.Stderr = &s.stderr
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reports := make(chan soakReport)
	go func() {
		defer close(reports)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			var r soakReport
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				t.Errorf("%v: %s", err, lines.Text())
			}
			reports <- r
		}
	}()
	return reports
}

// plan takes Vault through its life, one step a second, and ends the process.
func (s *soakRun) plan(reports <-chan soakReport) {
	start := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	kills, steps := 0, []func(){}
	for open := true; open && (time.Since(start) < *soakTime || len(steps) > 0 || kills < soakKills); {
		select {
		case <-tick.C:
			next := *soakTime * time.Duration(2*kills+1) / (2 * soakKills) // in the middle of each share
			switch {
			case len(steps) > 0:
				steps[0]()
				steps = steps[1:]
			case kills < soakKills && time.Since(start) >= next:
				s.vault.Kill(s.t)
				kills++
				steps = []func(){func() { s.vault.Restart(s.t) }, func() { s.vault.Unseal(s.t) }}
			default:
				s.rotate()
			}
		case r, ok := <-reports:
			if open = ok; ok {
				s.report(r)
			}
		}
	}
	if err := s.stdin.Close(); err != nil {
		s.t.Error(err)
	}
}

func (s *soakRun) report(r soakReport) { s.rounds = append(s.rounds, r) }

// checkReads counts in Vault's audit log. An answer that got lost when Vault was
// killed is asked for again by the same read.
func (s *soakRun) checkReads(took time.Duration) {
	s.t.Helper()
	reads, logins := map[string]int{}, 0
	for line := range strings.Lines(s.vault.AuditLog(s.t)) {
		var entry struct {
			Type, Error string
			Request     struct{ Operation, Path string }
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			continue // Vault was killed while it wrote it
		}
		name, ok := strings.CutPrefix(entry.Request.Path, s.mount+"/data/")
		switch vault, _, _ := strings.Cut(name, "-"); {
		case entry.Type != "response" || entry.Error != "":
		case ok && entry.Request.Operation == "read":
			reads[vault]++
		case strings.HasPrefix(entry.Request.Path, "auth/approle-") && strings.HasSuffix(entry.Request.Path, "/login"):
			logins++
		}
	}
	most := soakRate + int(math.Ceil(soakRate*took.Seconds())) + soakKills*soakSecrets
	for _, vault := range []string{"tolerant", "strict"} {
		if got := reads[vault]; got > most || got == 0 {
			s.t.Errorf("%s: got %d reads within %s, want 1 to %d", vault, got, took, most)
		}
	}
	s.t.Logf("%s with %d rotations: %.1f reads/s tolerant, %.1f strict, limit %d; %d logins", took.Round(time.Second), s.rotations,
		float64(reads["tolerant"])/took.Seconds(), float64(reads["strict"])/took.Seconds(), soakRate, logins)
}

// clearFailure is what a failure in an outage looks like.
var clearFailure = regexp.MustCompile(`^(unavailable|timeout): read secret "strict:[^"]+": ` +
	`(unreachable|sealed|timed out): [^\n]+ \(hint: [^\n]+\)$`)

func (s *soakRun) checkFailures() {
	s.t.Helper()
	var all soakReport
	failures := map[string]int{}
	for _, r := range s.rounds {
		all.Done += r.Done
		all.Stale += r.Stale
		all.Back += r.Back
		for text, n := range r.Failures {
			failures[text] += n
		}
	}
	if all.Back > 0 {
		s.t.Errorf("%d connects got an older version than the one before them", all.Back)
	}
	if all.Stale == 0 || len(failures) == 0 {
		s.t.Errorf("got %d warnings of outdated secrets and failures %v: there was no outage", all.Stale, failures)
	}
	failed := 0
	for _, text := range slices.Sorted(maps.Keys(failures)) {
		failed += failures[text]
		if !clearFailure.MatchString(text) || strings.Contains(text, "EOF") {
			s.t.Errorf("%d times, and not clear: %s", failures[text], text)
		}
		for _, hidden := range s.hidden {
			if strings.Contains(text, hidden) {
				s.t.Errorf("%d times, and with a secret: %s", failures[text], text)
			}
		}
	}
	s.t.Logf("%d connects: %d with an outdated secret, and %d strict ones failed:", all.Done+failed, all.Stale, failed)
	for _, text := range slices.Sorted(maps.Keys(failures)) {
		s.t.Logf("%6d times %s", failures[text], text)
	}
}

// checkGrowth compares the rounds, at whose ends no flow runs. Between them
// connections to Vault may be idle, up to eight of each configuration, which are two
// goroutines each; at the end there is nothing left.
func (s *soakRun) checkGrowth() {
	s.t.Helper()
	const idle = 2 * 2 * 8
	end := s.rounds[len(s.rounds)-1]
	rounds := s.rounds[:len(s.rounds)-1]
	if !end.End {
		s.t.Fatal("the process did not come to its end")
	}
	if end.Goroutines > 0 {
		s.t.Errorf("%d goroutines are left:\n%s", end.Goroutines, end.Stacks)
	}
	first, last := rounds[0], rounds[len(rounds)-1]
	for i, r := range rounds {
		if r.Goroutines > first.Goroutines+idle {
			s.t.Errorf("round %d of %d ends with %d goroutines, the first one with %d", i+1, len(rounds), r.Goroutines, first.Goroutines)
		}
	}
	heap := func(rounds []soakReport) uint64 {
		var sizes []uint64
		for _, r := range rounds {
			sizes = append(sizes, r.Heap)
		}
		slices.Sort(sizes)
		return sizes[len(sizes)/2]
	}
	third := max(len(rounds)/3, 1)
	before, after := heap(rounds[:third]), heap(rounds[len(rounds)-third:])
	if after > before+before/5+1<<20 {
		s.t.Errorf("the heap grew from %d KiB to %d KiB in %d rounds", before>>10, after>>10, len(rounds))
	}
	s.t.Logf("%d rounds: goroutines %d to %d, heap %d KiB to %d KiB, resident %d KiB to %d KiB",
		len(rounds), first.Goroutines, last.Goroutines, before>>10, after>>10, first.Resident>>10, last.Resident>>10)
}
