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
	// WebhookKey is the key in a header.
	WebhookKey WebhookAuth = "key"
	// WebhookHMAC is HMAC-SHA-256 over id, time and body, as the Standard Webhooks
	// specification has it (github.com/standard-webhooks/standard-webhooks).
	WebhookHMAC WebhookAuth = "hmac"
	// WebhookGitHub is HMAC-SHA-256 over the body, as GitHub sends it. It covers neither
	// the time nor the id of the call.
	WebhookGitHub WebhookAuth = "github"
)

// What a webhook has unless somebody says otherwise, and how much it can have.
const (
	WebhookBody         = 1 << 20 // bytes
	WebhookMaxBody      = 4 << 20
	WebhookPerMinute    = 60
	WebhookMaxPerMinute = 1_000_000
	WebhookTimeout      = 30 * time.Second
	WebhookMaxTimeout   = 10 * time.Minute
	WebhookWindow       = 5 * time.Minute
	WebhookMaxWindow    = 24 * time.Hour
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
	// MaxBody bounds a call's body in bytes; 0 means 1 MiB, and 4 MiB are the most.
	MaxBody int64
	// PerMinute is how many calls are taken in a minute, and at most at once; 0 means 60.
	PerMinute int
	// Timeout bounds how long a caller waits in mode sync; 0 means 30s.
	Timeout time.Duration
	// ReplayWindow is how far the time that a call was signed with may be from now; 0
	// means 5m. It is of use for WebhookHMAC only.
	ReplayWindow time.Duration
	Enabled      bool
	Changed      time.Time // when people last changed it
}

// WebhookProof is what a call shows to be let in. It must not be printed.
type WebhookProof struct {
	Auth WebhookAuth // the way that it takes
	Key  string      // of WebhookKey
	// Message is what is signed, in parts that follow one another, and Sums are the
	// signatures, of which one must be right.
	Message [][]byte
	Sums    [][]byte
	// Signed is the time that the message has; zero if it has none.
	Signed time.Time
}
