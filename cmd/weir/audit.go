package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/connections"
	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/store"
)

func newAudit(a *app) *cobra.Command {
	var since, until, user string
	var limit int
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Show who read which secret, and who let whom in",
		Long: `Show the audit events of the store, the newest last: each reading of a secret, with the execution, the
connection, the path and the version; refused logins; and what was done with users, tokens and shares. They hold
no value. They are kept for 400 days, at most five million of them.`,
		Example: "  weir audit --since 24h\n  weir audit --user ann --since 2026-11-01 -o json",
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter := store.AuditFilter{All: true, Limit: limit}
			var err error
			if filter.Since, err = point("--since", since, time.Now()); err != nil {
				return err
			}
			if filter.Until, err = point("--until", until, time.Now()); err != nil {
				return err
			}
			if limit < 1 {
				return &usageError{errors.New("--limit is a number from 1")}
			}
			return a.audit(cmd.Context(), filter, user)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&since, "since", "", "only events from then on: a time such as 24h ago, or 2026-11-21 or 2026-11-21T10:00:00Z")
	flags.StringVar(&until, "until", "", "only events before then")
	flags.StringVar(&user, "user", "", "only what this user did, and what others did with their connections")
	flags.IntVar(&limit, "limit", 1000, "how many at most, the newest")
	_ = cmd.RegisterFlagCompletionFunc("user", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return a.userNames(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

func (a *app) audit(ctx context.Context, filter store.AuditFilter, user string) error {
	opened, err := a.userStore(ctx)
	if err != nil {
		return err
	}
	if user != "" {
		if filter.Owner, err = ownerOf(ctx, opened, user); err != nil {
			return err
		}
		filter.All = false
	}
	filter.Limit++
	events, listErr := opened.Audit().List(ctx, filter)
	more := len(events) == filter.Limit
	if more {
		events = events[:len(events)-1]
	}
	slices.Reverse(events)
	names, err := a.ownerNames(ctx)
	if err != nil {
		return err
	}
	data := []any{}
	for _, e := range events {
		data = append(data, auditTree(e, names))
	}
	err = a.print(data, func(t *table) {
		t.row("TIME", "USER", "WHAT", "EXECUTION", "CONNECTION", "SECRET", "SUBJECT")
		for _, e := range events {
			t.row(dateTime(e.Time), names[e.Owner], string(e.What), orDash(string(e.Execution)), orDash(auditedConnection(e, names)), orDash(auditedSecret(e)), auditedSubject(e))
		}
	})
	if more && err == nil {
		a.say("note: there are more; --limit %d shows as many again", 2*(filter.Limit-1))
	}
	return errors.Join(err, listErr)
}

func auditTree(e engine.AuditEvent, names map[string]string) map[string]any {
	tree := map[string]any{"number": e.Number, "time": instant(e.Time), "user": names[e.Owner], "what": string(e.What)}
	for key, text := range map[string]string{
		"execution": string(e.Execution), "connection": auditedConnection(e, names), "path": e.Path, "subject": e.Subject, "remote": e.Remote,
	} {
		if text != "" {
			tree[key] = text
		}
	}
	if e.Version != 0 {
		tree["version"] = e.Version
	}
	return tree
}

// auditedConnection names a connection as whoever used it does.
func auditedConnection(e engine.AuditEvent, names map[string]string) string {
	if e.Connection == "" || e.ConnectionOwner == e.Owner {
		return e.Connection
	}
	return connections.SharedName(names[e.ConnectionOwner], e.Connection)
}

func auditedSecret(e engine.AuditEvent) string {
	if e.Version == 0 {
		return e.Path
	}
	return e.Path + "@" + strconv.Itoa(e.Version)
}

func auditedSubject(e engine.AuditEvent) string {
	if e.Remote == "" {
		return e.Subject
	}
	return strings.TrimSpace(e.Subject + " from " + e.Remote)
}

// point reads a moment: how long ago, a date or a time.
func point(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.DateOnly, time.DateTime, "2006-01-02T15:04:05"} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return at, nil
		}
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	return time.Time{}, &usageError{fmt.Errorf("%s %q: it is how long ago, such as 24h, or a time such as 2026-11-21 or 2026-11-21T10:00:00Z", flag, text)}
}
