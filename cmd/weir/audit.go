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
	"github.com/weir-engine/weir/engine/api"
)

func newAudit(a *app) *cobra.Command {
	var filter api.AuditFilter
	var since, until string
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
			return a.audit(cmd.Context(), filter, limit)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&since, "since", "", "only events from then on: a time such as 24h ago, or 2026-11-21 or 2026-11-21T10:00:00Z")
	flags.StringVar(&until, "until", "", "only events before then")
	flags.StringVar(&filter.User, "user", "", "only what this user did, and what others did with their connections")
	flags.IntVar(&limit, "limit", 1000, "how many at most, the newest")
	_ = cmd.RegisterFlagCompletionFunc("user", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return a.userNames(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

func (a *app) audit(ctx context.Context, filter api.AuditFilter, limit int) error {
	services, err := a.people(ctx, false)
	if err != nil {
		return err
	}
	if filter.All, err = a.seesAll(ctx); err != nil {
		return err
	}
	var events []api.AuditEvent
	for more := true; more && len(events) <= limit; {
		filter.Limit = min(limit+1-len(events), auditPage)
		page, err := services.Audit.ListAudit(ctx, filter)
		if err != nil {
			return err
		}
		events, filter.After, more = append(events, page.Events...), page.Next, page.Next != 0
	}
	more := len(events) > limit
	events = events[:min(limit, len(events))]
	slices.Reverse(events)
	err = a.print(plainList(events), func(t *table) {
		t.row("TIME", "USER", "WHAT", "EXECUTION", "CONNECTION", "SECRET", "SUBJECT")
		for _, e := range events {
			t.row(dateTime(e.Time), e.User, e.What, orDash(e.Execution), orDash(e.Connection), orDash(auditedSecret(e)), auditedSubject(e))
		}
	})
	if more && err == nil {
		a.say("note: there are more; --limit %d shows as many again", 2*limit)
	}
	return err
}

// auditPage is how many events are asked for at once.
const auditPage = 1000

// seesAll tells whether whoever runs the command sees what all users did: admins, and
// who can read the store itself.
func (a *app) seesAll(ctx context.Context) (bool, error) {
	client, err := a.remote()
	if client == nil || err != nil {
		return true, err
	}
	me, err := client.Me(ctx)
	return me.User.Role == string(engine.RoleAdmin), err
}

// auditedConnection names a connection as whoever used it does.
func auditedConnection(e engine.AuditEvent, names map[string]string) string {
	if e.Connection == "" || e.ConnectionOwner == e.Owner {
		return e.Connection
	}
	return connections.SharedName(names[e.ConnectionOwner], e.Connection)
}

func auditedSecret(e api.AuditEvent) string {
	if e.Version == 0 {
		return e.Path
	}
	return e.Path + "@" + strconv.Itoa(e.Version)
}

func auditedSubject(e api.AuditEvent) string {
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
