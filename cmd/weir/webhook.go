package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

func newWebhook(a *app) *cobra.Command {
	cmd := group("webhook", "Manage webhooks: addresses that start a flow when they are called",
		newWebhookCreate(a),
		newWebhookList(a),
		newWebhookShow(a),
		newWebhookEdit(a),
		newWebhookEnable(a),
		newWebhookDisable(a),
		newWebhookRotate(a),
		newWebhookCall(a),
		newWebhookDelete(a),
	)
	cmd.Long = `Manage webhooks. "weir serve" starts a webhook's flow, as its owner, when somebody calls its address with POST and
shows the key in the header X-Webhook-Key (or as a bearer token), or signs what is sent. It is in none of its answers
whether there is a webhook: they are all the same for whoever is not let in.

The flow's inputs are
  body      what was sent: a value if it is JSON, else text, or base64 if it is no UTF-8
  encoding  json, text or base64: which of them
  headers   text by name in small letters, without credentials and signatures
  query     a list of texts by name
  method    POST
  delivery  the id that the sender gave what it sent, or ""
  webhook   the webhook's name
What comes again with the same id (Webhook-Id, X-GitHub-Delivery, or Idempotency-Key beside a key) within three
days is the same execution, not another one.

Of mode async, the answer is 202 with the execution's id, once it is on disk. Of mode sync, it is what the flow returns,
with secrets masked; 202 if that takes longer than the timeout. If the flow fails, only what it raises as a table with
a message, error{message = "..."}, is told.`
	return cmd
}

// hookFlags are the limits of a webhook on the command line.
type hookFlags struct {
	maxBody, timeout, window string
	perMinute                int
}

func (f *hookFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.maxBody, "max-body", "", "bytes of a body, such as 64KiB or 4MiB, which is the most; 1MiB if not given")
	flags.IntVar(&f.perMinute, "per-minute", 0, "calls in a minute, and at most at once; 60 if not given")
	flags.StringVar(&f.timeout, "timeout", "", "how long the caller of a sync webhook waits, such as 10s; 30s if not given")
	flags.StringVar(&f.window, "replay-window", "", "how far the time of a signature may be from now; 5m if not given")
}

// change is what the flags say; nil where they say nothing.
func (f *hookFlags) change(cmd *cobra.Command) (change api.WebhookChange, err error) {
	if cmd.Flags().Changed("per-minute") {
		change.PerMinute = &f.perMinute
	}
	var bodyErr, timeoutErr, windowErr error
	change.MaxBody, bodyErr = bytesFlag("--max-body", f.maxBody)
	change.Timeout, timeoutErr = secondsFlag("--timeout", f.timeout)
	change.ReplayWindow, windowErr = secondsFlag("--replay-window", f.window)
	return change, errors.Join(bodyErr, timeoutErr, windowErr)
}

// limits is the same for a webhook that is made.
func (f *hookFlags) limits(cmd *cobra.Command) (limits api.WebhookLimits, err error) {
	change, err := f.change(cmd)
	set(&limits.MaxBody, change.MaxBody)
	set(&limits.PerMinute, change.PerMinute)
	set(&limits.Timeout, change.Timeout)
	set(&limits.ReplayWindow, change.ReplayWindow)
	return limits, err
}

// url is where a webhook is called: on a server its whole address, and for a local
// store what comes after the address of its engine.
func (a *app) url(path string) string {
	if client, err := a.remote(); err == nil && client != nil {
		return client.URL(path)
	}
	return path
}

// printWebhook prints a webhook.
func (a *app) printWebhook(w api.Webhook) error {
	return a.print(plain(w), func(t *table) {
		t.row("name", w.Name)
		t.row("url", a.url(w.Path))
		t.row("flow", w.Flow)
		t.row("mode", w.Mode)
		t.row("auth", w.Auth)
		t.row("state", hookState(w))
		t.row("max body", w.MaxBody)
		t.row("per minute", w.PerMinute)
		t.row("timeout", time.Duration(w.Timeout)*time.Second)
		t.row("replay window", time.Duration(w.ReplayWindow)*time.Second)
		t.row("changed", dateTime(w.Changed))
	})
}

// printMade prints a webhook with its secret, which is shown this once.
func (a *app) printMade(result string, w api.MadeWebhook) error {
	what := "secret"
	if w.Auth == string(engine.WebhookKey) {
		what = "key"
	}
	tree, _ := plain(w).(map[string]any)
	tree["url"] = a.url(w.Path)
	err := a.print(tree, func(t *table) {
		t.row(result, w.Name)
		t.row("url", a.url(w.Path))
		t.row(what, w.Secret)
	})
	if err != nil {
		return err
	}
	if a.url(w.Path) == w.Path {
		a.say("note: before the path comes the address of weir serve")
	}
	a.say("note: the %s is not shown again; %s", what, howToCall(w.Auth))
	return nil
}

func howToCall(auth string) string {
	switch engine.WebhookAuth(auth) {
	case engine.WebhookHMAC:
		return "with it, senders sign as Standard Webhooks has it"
	case engine.WebhookGitHub:
		return "it is the Secret in the form of GitHub's webhooks; take the content type application/json there"
	}
	return "senders show it in the header X-Webhook-Key"
}

func hookState(w api.Webhook) string {
	if w.Enabled {
		return "enabled"
	}
	return "disabled"
}

// completeWebhooks completes the name of a webhook as the first word.
func (a *app) completeWebhooks(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.webhookNames(cmd.Context()), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) webhookNames(ctx context.Context) []string {
	services, err := a.services(ctx)
	if err != nil {
		return nil
	}
	list, _ := services.Webhooks.ListWebhooks(ctx)
	var names []string
	for _, w := range list.Webhooks {
		names = append(names, w.Name)
	}
	return names
}
