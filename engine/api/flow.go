package api

import "time"

// Flow is a version of a stored flow.
type Flow struct {
	Name    string    `json:"name"`
	Version int       `json:"version"`
	Digest  string    `json:"digest" doc:"SHA-256 of the text, in hex"`
	Changed time.Time `json:"changed"`
	Origin  string    `json:"origin,omitempty" doc:"The file of a watched directory that it comes from"`
	Result  string    `json:"result,omitempty" enum:"stored,unchanged" doc:"What applying it did"`
	Text    string    `json:"text,omitempty"`
}

// Flows is a list of flows, or of the versions of one.
type Flows struct {
	Flows []Flow `json:"flows" nullable:"false"`
}

// FlowText is the text of a flow that is to be stored.
type FlowText struct {
	Name string `json:"name" maxLength:"128" doc:"Such as deploy or team/deploy"`
	File string `json:"file,omitempty" maxLength:"512" doc:"What errors call the text; the name if not given"`
	Text string `json:"text"`
}

// Deleted tells what was deleted.
type Deleted struct {
	Name   string `json:"name"`
	Result string `json:"result" enum:"deleted"`
}
