package engine

import "time"

// AuditKind says what happened, as "what.how".
type AuditKind string

// The kinds of audit events. The comment says which fields they use beside Time
// and Owner.
const (
	AuditSecretRead        AuditKind = "secret.read"        // Execution, Connection, ConnectionOwner, Path, Version
	AuditLoginDenied       AuditKind = "login.denied"       // Remote; Owner and Subject of a token that is known
	AuditUserCreate        AuditKind = "user.create"        // Subject: the user
	AuditUserDisable       AuditKind = "user.disable"       // Subject: the user
	AuditUserEnable        AuditKind = "user.enable"        // Subject: the user
	AuditTokenCreate       AuditKind = "token.create"       // Subject: "user token-id"
	AuditTokenRevoke       AuditKind = "token.revoke"       // Subject: "user token-id"
	AuditConnectionShare   AuditKind = "connection.share"   // Connection, ConnectionOwner; Subject: "user use", "user manage"
	AuditConnectionUnshare AuditKind = "connection.unshare" // Connection, ConnectionOwner; Subject: the user
	AuditScheduleCreate    AuditKind = "schedule.create"    // Subject: the schedule
	AuditScheduleDelete    AuditKind = "schedule.delete"    // Subject: the schedule
	AuditWebhookCreate     AuditKind = "webhook.create"     // Subject: the webhook
	AuditWebhookRotate     AuditKind = "webhook.rotate"     // Subject: the webhook
	AuditWebhookDelete     AuditKind = "webhook.delete"     // Subject: the webhook
	AuditWebhookDenied     AuditKind = "webhook.denied"     // Remote; Owner and Subject of a webhook that is there
	AuditConnectionManage  AuditKind = "connection.manage"  // Connection, ConnectionOwner: somebody changed what is shared with them
)

// AuditEvent is something that the people who answer for a store must be able to
// look up afterwards. It never holds a value.
type AuditEvent struct {
	// Number grows in the order of writing, and tells nobody how many others there are;
	// the store gives it.
	Number int64
	Time   time.Time // zero: when it is written
	What   AuditKind
	// Owner is the one who did it, or whose execution did; see [User].
	Owner string
	// Execution is the one that a secret was read for; empty for the test of a
	// connection and the like.
	Execution ID
	// Connection is the name of the connection with its owner, without the owner's
	// name in front; empty for a secret that a flow named itself.
	Connection      string
	ConnectionOwner string
	// Path is the secret's, "vault:path" for a Vault configuration other than the
	// default, and Version the one that was read; 0 where there are none.
	Path    string
	Version int
	// Subject is what was done something to; see the kinds.
	Subject string
	// Remote is the network address that a request came from; empty for this machine's
	// command line and for executions.
	Remote string
}

// Actor is who does something that leaves an audit event.
type Actor struct {
	Owner  string // see [User]
	Remote string // the network address of the request; empty on the command line
}

// Did is the event that says so.
func (a Actor) Did(what AuditKind, subject string) AuditEvent {
	return AuditEvent{What: what, Owner: a.Owner, Subject: subject, Remote: a.Remote}
}
