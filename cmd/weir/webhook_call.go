package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
)

func newWebhookCall(a *app) *cobra.Command {
	var secretFile, bodyFile, contentType, id string
	cmd := &cobra.Command{
		Use:   "call NAME --secret-file FILE",
		Short: "Call a webhook of a server as its senders do, to try it",
		Long: `Call a webhook of the server that WEIR_ADDR names, with its key or signed with its secret, and print the answer.
It starts the flow as any other call does. The same --id twice is the same execution.`,
		Example:           "  weir webhook call push --secret-file key --body-file push.json",
		Args:              exactly(1),
		ValidArgsFunction: a.completeWebhooks,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.remote()
			if err != nil {
				return err
			}
			switch {
			case client == nil:
				return &usageError{errors.New("webhooks are called on a server: set WEIR_ADDR and WEIR_TOKEN")}
			case secretFile == "" || secretFile == "-" && bodyFile == "-":
				return &usageError{errors.New("--secret-file is needed, and stdin is for one of both files")}
			}
			secret, err := a.readSecretFile(secretFile)
			if err != nil {
				return err
			}
			body := []byte("{}")
			if bodyFile != "" {
				if body, err = readLimited(bodyFile, a.in); err != nil {
					return err
				}
			}
			found, err := client.Webhook(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			header := http.Header{"Content-Type": {contentType}}
			if err := sign(header, engine.WebhookAuth(found.Auth), secret, id, body); err != nil {
				return err
			}
			output, err := client.CallWebhook(cmd.Context(), found.Path, header, body)
			if err != nil {
				return err
			}
			if a.flags.output == "table" {
				a.flags.output = "json" // what a flow returns has no columns
			}
			return a.print(plain(output), nil)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&secretFile, "secret-file", "", "file with the webhook's key or secret; - for stdin")
	flags.StringVar(&bodyFile, "body-file", "", "file with what is sent; - for stdin; {} if not given")
	flags.StringVar(&contentType, "content-type", "application/json", "what it is")
	flags.StringVar(&id, "id", "", "the id of what is sent; a new one if not given")
	return cmd
}

// sign has a call show what a webhook wants.
func sign(header http.Header, auth engine.WebhookAuth, secret, id string, body []byte) error {
	if id == "" {
		id = strings.ToLower(rand.Text())
	}
	switch auth {
	case engine.WebhookHMAC:
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil {
			return &engine.Error{Kind: engine.Invalid, Message: "the secret is no base64"}
		}
		at := strconv.FormatInt(time.Now().Unix(), 10)
		header.Set("Webhook-Id", id)
		header.Set("Webhook-Timestamp", at)
		header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(sumOf(key, []byte(id+"."+at+"."), body)))
	case engine.WebhookGitHub:
		header.Set("X-Github-Delivery", id)
		header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(sumOf([]byte(secret), body)))
	default:
		header.Set("X-Webhook-Key", secret)
		header.Set("Idempotency-Key", id)
	}
	return nil
}

func sumOf(key []byte, parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, key)
	for _, part := range parts {
		_, _ = mac.Write(part) // never fails
	}
	return mac.Sum(nil)
}
