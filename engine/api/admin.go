package api

import (
	"encoding/json"
	"time"
)

// User is a user of the server.
type User struct {
	Name     string    `json:"name"`
	Role     string    `json:"role" enum:"admin,user"`
	Disabled bool      `json:"disabled"`
	Created  time.Time `json:"created"`
}

// Users is a list of users.
type Users struct {
	Users []User `json:"users" nullable:"false"`
}

// UserDetail is a user with the names of what is theirs. Nothing more of it is told.
type UserDetail struct {
	User
	Connections []string       `json:"connections" nullable:"false" doc:"Stored ones"`
	Vaults      []string       `json:"vaults" nullable:"false"`
	Flows       []string       `json:"flows" nullable:"false"`
	Schedules   []string       `json:"schedules" nullable:"false"`
	Webhooks    []string       `json:"webhooks" nullable:"false"`
	Settings    []string       `json:"settings" nullable:"false"`
	Executions  map[string]int `json:"executions" doc:"How many there are by status, children included"`
}

// NewUser asks for a user.
type NewUser struct {
	Name string `json:"name" maxLength:"64"`
	Role string `json:"role,omitempty" enum:"admin,user" default:"user"`
}

// Me is who makes the request.
type Me struct {
	User  User  `json:"user"`
	Token Token `json:"token" doc:"The token that the request was made with"`
}

// Token is a token of a user. It does not let anybody in: that is what its text does.
type Token struct {
	ID       string     `json:"id"`
	User     string     `json:"user"`
	Name     string     `json:"name" doc:"What it is for"`
	Created  time.Time  `json:"created"`
	Expires  *time.Time `json:"expires" doc:"Null for never"`
	LastUsed *time.Time `json:"last_used" doc:"Exact to a minute"`
	Revoked  *time.Time `json:"revoked"`
}

// Tokens is a list of tokens.
type Tokens struct {
	Tokens []Token `json:"tokens" nullable:"false"`
}

// NewToken asks for a token.
type NewToken struct {
	Name    string     `json:"name,omitempty" maxLength:"128" doc:"What it is for"`
	Expires *time.Time `json:"expires,omitempty" doc:"Until when it is good; 90 days if not given"`
	Never   bool       `json:"never,omitempty" doc:"It does not expire"`
}

// MadeToken is a token that was just made, with its text, which is told this once.
type MadeToken struct {
	Token
	Text string `json:"token"`
}

// AuditEvent is something that people must be able to look up afterwards. It has no
// value of a secret.
type AuditEvent struct {
	Number     int64     `json:"number"`
	Time       time.Time `json:"time"`
	User       string    `json:"user"`
	What       string    `json:"what" example:"secret.read"`
	Execution  string    `json:"execution,omitempty"`
	Connection string    `json:"connection,omitempty"`
	Path       string    `json:"path,omitempty"`
	Version    int       `json:"version,omitempty"`
	Subject    string    `json:"subject,omitempty"`
	Remote     string    `json:"remote,omitempty"`
}

// Audit is a page of audit events, the newest first.
type Audit struct {
	Events []AuditEvent `json:"events" nullable:"false"`
	Next   int64        `json:"next" doc:"Cursor of the next page; 0 on the last one"`
}

// AuditFilter says which audit events to list.
type AuditFilter struct {
	All          bool   // those of everybody, for admins
	User         string // those of another user, for admins; empty for one's own
	Since, Until time.Time
	Limit        int
	After        int64 // a cursor that the page before gave
}

// Setting is a setting of flows.
type Setting struct {
	Name    string     `json:"name"`
	Changed *time.Time `json:"changed" doc:"Null if it has no value"`
	Holder  string     `json:"holder" doc:"The execution that has the lock; empty if none has"`
	Expires *time.Time `json:"expires" doc:"Until when the lock is held"`
}

// Settings is a list of settings, without their values.
type Settings struct {
	Settings []Setting `json:"settings" nullable:"false"`
}

// SettingValue is the value of a setting.
type SettingValue struct {
	Value json.RawMessage `json:"value"`
}

// Done tells what was done to what.
type Done struct {
	Name   string `json:"name"`
	Result string `json:"result"`
}

// TaskTypes is a list of task types.
type TaskTypes struct {
	Types []TaskType `json:"types" nullable:"false"`
}

// TaskType is a task type in short.
type TaskType struct {
	Type        string   `json:"type"`
	Description string   `json:"description"`
	Operations  []string `json:"operations" nullable:"false"`
}

// Vaults is a list of Vault configurations, secrets masked.
type Vaults struct {
	Vaults []map[string]any `json:"vaults" nullable:"false"`
}

// VaultConfiguration is how to reach a Vault and log in to it. Files of the server
// cannot be named.
type VaultConfiguration struct {
	Configuration map[string]any `json:"configuration" doc:"As in a file of Vault configurations, without its name"`
	Replace       bool           `json:"replace,omitempty" doc:"Replace one of the same name"`
}

// VaultTrial asks for the test of a Vault.
type VaultTrial struct {
	Path string `json:"path,omitempty" maxLength:"512" doc:"A secret to read; its value is not shown"`
}
