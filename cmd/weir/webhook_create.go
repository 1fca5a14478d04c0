package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
)

func newWebhookCreate(a *app) *cobra.Command {
	var w api.NewWebhook
	var limits hookFlags
	var secretFile string
	cmd := &cobra.Command{
		Use:   "create NAME --flow FLOW",
		Short: "Make a webhook, and print its address and its key or secret",
		Long: `Make a webhook for a stored flow, whose newest version is run at each call, and print its address and its key or
secret, which are shown this once. How a caller proves that it may call:
  --auth key     it shows the key in the header X-Webhook-Key, or as Authorization: Bearer
  --auth hmac    it signs id, time and body as the Standard Webhooks specification has it, which has libraries for all
                 languages; what was signed longer ago than the replay window is refused
  --auth github  it signs the body as GitHub, Gitea and Forgejo do, which covers neither time nor id
A key or secret that the sender prescribes comes from a file or stdin; for hmac it is base64, mostly behind whsec_.
Of a key, the store keeps a digest only.`,
		Example: "  weir webhook create push --flow deploy --auth github\n  weir webhook create orders --flow order --mode sync --timeout 5s",
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if w.Flow == "" {
				return &usageError{fmt.Errorf("--flow FLOW is missing\nsee: %s --help", cmd.CommandPath())}
			}
			var err error
			if w.WebhookLimits, err = limits.limits(cmd); err != nil {
				return err
			}
			if w.Secret, err = a.givenSecret(secretFile); err != nil {
				return err
			}
			services, err := a.services(cmd.Context())
			if err != nil {
				return err
			}
			w.Name = args[0]
			made, err := services.Webhooks.CreateWebhook(cmd.Context(), w)
			if err != nil {
				return err
			}
			return a.printMade("created", made)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&w.Flow, "flow", "", "the stored flow that it starts")
	flags.StringVar(&w.Mode, "mode", string(engine.WebhookAsync), "what its caller waits for: async or sync")
	flags.StringVar(&w.Auth, "auth", string(engine.WebhookKey), "how its caller proves that it may call: key, hmac or github")
	flags.StringVar(&secretFile, "secret-file", "", "file with the key or secret that the sender prescribes; - for stdin")
	limits.add(cmd)
	completeHookFlags(a, cmd)
	_ = cmd.RegisterFlagCompletionFunc("auth", cobra.FixedCompletions(
		[]string{string(engine.WebhookKey), string(engine.WebhookHMAC), string(engine.WebhookGitHub)}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func completeHookFlags(a *app, cmd *cobra.Command) {
	_ = cmd.RegisterFlagCompletionFunc("mode", cobra.FixedCompletions(
		[]string{string(engine.WebhookAsync), string(engine.WebhookSync)}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("flow", func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return a.completeFlows(cmd, nil, typed)
	})
}

// givenSecret reads a secret that somebody prescribes; empty if there is no file.
func (a *app) givenSecret(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	return a.readSecretFile(file)
}

// secondsFlag reads a time; nil if it is not given.
func secondsFlag(flag, text string) (*int, error) {
	if text == "" {
		return nil, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d%time.Second != 0 {
		return nil, &usageError{fmt.Errorf("%s %q: it is a time of whole seconds, such as 10s or 5m", flag, text)}
	}
	n := int(d / time.Second)
	return &n, nil
}

// bytesFlag reads a size; nil if it is not given.
func bytesFlag(flag, text string) (*int64, error) {
	if text == "" {
		return nil, nil
	}
	number, unit := text, int64(1)
	for suffix, size := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20} {
		if before, ok := strings.CutSuffix(text, suffix); ok {
			number, unit = before, size
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 32)
	if err != nil || n < 0 {
		return nil, &usageError{fmt.Errorf("%s %q: it is a number of bytes, or such as 64KiB or 4MiB", flag, text)}
	}
	n *= unit
	return &n, nil
}
