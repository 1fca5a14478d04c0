package engine

import "time"

// WebhookMode says what the caller of a webhook waits for.
type WebhookMode string

// The modes.
const (
	WebhookAsync WebhookMode = "async" // the execution is on disk; the default
	WebhookSync  WebhookMode = "sync"  // it has ended; its output is the answer
)

// WebhookAuth says how a caller shows that it may call.
type WebhookAuth string

// The ways. With a key, the store keeps a digest of it only; to check a signature
// the secret itself is needed, and is kept encrypted.
const (
	WebhookKey  WebhookAuth = "key"  // the key in a header
	WebhookHMAC WebhookAuth = "hmac" // HMAC-SHA-256 over time and body
)

// Webhook starts a flow, as its owner, whenever it is called.
type Webhook struct {
	Owner string
	// Name is unique among its owner's webhooks: 1 to 128 of a-z 0-9 . _ -,
	// starting with a letter or digit.
	Name string
	Flow string // the name of a stored flow; its newest version is run
	Mode WebhookMode
	Auth WebhookAuth
	// MaxBody bounds a call's body in bytes; 0 means 1 MiB.
	MaxBody int64
	// PerMinute bounds the calls in a minute; 0 means 60.
	PerMinute int
	// Timeout bounds how long a caller waits in mode sync; 0 means 30s.
	Timeout time.Duration
	// ReplayWindow is how old a signed call may be; one that was seen within it is
	// refused. 0 means 5m.
	ReplayWindow time.Duration
	Enabled      bool
	Changed      time.Time // when people last changed it
}
