package api

import (
	"encoding/json"
	"time"
)

// Execution is one run of a flow, without its steps.
type Execution struct {
	ID        string     `json:"id" doc:"Unique for ever" example:"019b3c5d7e9zrq4k7w2m8xn"`
	Root      string     `json:"root" doc:"The execution at the top of the tree; itself if it is that"`
	Parent    string     `json:"parent" doc:"The execution that started it; empty for a root"`
	Name      string     `json:"name" doc:"The flow's name, or what its starter called it"`
	Status    string     `json:"status" enum:"pending,running,waiting,paused,succeeded,failed,cancelled"`
	Created   time.Time  `json:"created"`
	Ended     *time.Time `json:"ended" doc:"Null until it has ended"`
	Wake      *time.Time `json:"wake" doc:"When a waiting execution goes on by itself; null for one that does not"`
	Waits     string     `json:"waits" doc:"What somebody else must bring: answer, decision, resume, or a setting's lock"`
	ErrorKind string     `json:"error_kind" doc:"The kind of the error of one that failed"`
}

// HasEnded tells whether the execution has come to its end.
func (e Execution) HasEnded() bool {
	return e.Status == "succeeded" || e.Status == "failed" || e.Status == "cancelled"
}

// Executions is a page of a list, the newest first.
type Executions struct {
	Executions []Execution `json:"executions" nullable:"false"`
	Next       string      `json:"next" doc:"Cursor of the next page; empty on the last one"`
}

// ExecutionFilter says which executions to list.
type ExecutionFilter struct {
	Status   string // empty for any
	Flow     string // name; empty for any
	Children bool   // those that others started, too
	Limit    int    // of the page; zero means 50
	After    string // a cursor that the page before gave
}

// Detail is an execution with all that is known of it.
type Detail struct {
	Execution
	File      string         `json:"file" doc:"Of the flow's text, as errors show it"`
	Files     string         `json:"files" doc:"Directory that its tasks read and write, on the server"`
	Inputs    map[string]any `json:"inputs" nullable:"false"`
	Again     string         `json:"again" doc:"The execution that it repeats from its start; empty for none"`
	Deadline  *time.Time     `json:"deadline"`
	Output    any            `json:"output" doc:"What the flow returned; null until it has succeeded"`
	Error     *Failure       `json:"error,omitempty"`
	Steps     []Step         `json:"steps" nullable:"false" doc:"In the order in which they began"`
	More      bool           `json:"more" doc:"There are more steps: ask for this execution after the last one that is here"`
	Notes     []Note         `json:"notes" nullable:"false" doc:"What was done to the execution"`
	Questions []Question     `json:"questions" nullable:"false" doc:"What it asks of people; those of flows that it started are with these"`
}

// Failure is why an execution, a step or a try did not succeed.
type Failure struct {
	Kind      string   `json:"kind"`
	Message   string   `json:"message"`
	Hint      string   `json:"hint"`
	Where     string   `json:"where" doc:"Place in the flow, such as flow.lua:12"`
	Execution string   `json:"execution"`
	Traceback string   `json:"traceback"`
	Cause     *Failure `json:"cause,omitempty" doc:"The failure of the child that led to this one"`
	Value     any      `json:"value" doc:"What the flow raised, if it was no text"`
}

// Step is one call of a flow.
type Step struct {
	Step      string         `json:"step" doc:"Its address in the flow, such as 3 or 2.1.4"`
	ID        string         `json:"id"`
	Kind      string         `json:"kind" doc:"connect, task, flow, sleep, ask, ..."`
	Name      string         `json:"name"`
	Type      string         `json:"type" doc:"The task type; FLOW for a flow"`
	Where     string         `json:"where"`
	Status    string         `json:"status"`
	Started   *time.Time     `json:"started"`
	Ended     *time.Time     `json:"ended"`
	Until     *time.Time     `json:"until"`
	Tries     int            `json:"tries"`
	Failures  []Try          `json:"failures" nullable:"false"`
	NextTry   *time.Time     `json:"next_try"`
	Error     *Failure       `json:"error,omitempty"`
	Inputs    map[string]any `json:"inputs" nullable:"false"`
	Output    any            `json:"output"`
	Uses      Uses           `json:"uses"`
	By        string         `json:"by"`
	Execution string         `json:"execution" doc:"The execution of a child flow in its last try; empty for other steps"`
	Flow      *Detail        `json:"flow,omitempty" doc:"The child flow, where the step is one"`
}

// Try is a try of a step that failed and was followed by another.
type Try struct {
	Ended     *time.Time `json:"ended"`
	Error     *Failure   `json:"error,omitempty"`
	Execution string     `json:"execution"`
}

// Uses is what a task was run with.
type Uses struct {
	Connection string      `json:"connection"`
	Revision   int64       `json:"revision" doc:"Of a stored connection; 0 for others"`
	Secrets    []SecretUse `json:"secrets" nullable:"false"`
}

// SecretUse is a version of a secret that a task was run with.
type SecretUse struct {
	Path     string            `json:"path"`
	Version  int               `json:"version"`
	Created  *time.Time        `json:"created"`
	Metadata map[string]string `json:"metadata" nullable:"false"`
}

// Note is what was done to an execution.
type Note struct {
	Time *time.Time `json:"time"`
	What string     `json:"what"`
	Step string     `json:"step"`
	By   string     `json:"by"`
}

// Question is what an execution asks of a person.
type Question struct {
	Execution string         `json:"execution"`
	Step      string         `json:"step"`
	Title     string         `json:"title"`
	Asked     *time.Time     `json:"asked"`
	Form      map[string]any `json:"form" nullable:"true" doc:"The fields of the answer by name; null if a decision is asked for"`
	Answers   []string       `json:"answers,omitempty" doc:"The decisions that can be made"`
}

// Line is a line of the log of a tree of executions.
type Line struct {
	Position  int64          `json:"position" doc:"Grows from line to line"`
	Time      time.Time      `json:"time"`
	Level     string         `json:"level" enum:"debug,info,warn,error"`
	Message   string         `json:"message"`
	Fields    map[string]any `json:"fields,omitempty"`
	Execution string         `json:"execution" doc:"The execution or step that wrote it"`
	Where     string         `json:"where"`
}

// Log is a page of a log, the oldest line first.
type Log struct {
	Lines []Line `json:"lines" nullable:"false"`
	Next  int64  `json:"next" doc:"The position to go on after; that of the last line, or where the page began"`
	More  bool   `json:"more" doc:"There are more lines already"`
}

// Start asks for an execution of a flow: one of the store by Flow and Version, or a
// text of its own.
type Start struct {
	Flow    string          `json:"flow,omitempty" doc:"Name of a stored flow" maxLength:"128"`
	Version int             `json:"version,omitempty" doc:"Of the stored flow; 0 for the newest" minimum:"0"`
	File    string          `json:"file,omitempty" doc:"What errors call the text" maxLength:"512"`
	Text    string          `json:"text,omitempty" doc:"The text of a flow that is not stored"`
	Name    string          `json:"name,omitempty" doc:"What lists call the execution; the flow's name if not given" maxLength:"256"`
	Inputs  json.RawMessage `json:"inputs,omitempty" doc:"The flow's inputs, an object"`
	// Key makes the start safe to repeat: the same key gives the same execution. It
	// goes in the header Idempotency-Key.
	Key string `json:"-"`
}

// Order asks something of an execution.
type Order struct {
	Verb string `json:"verb" enum:"cancel,pause,resume,retry"`
}

// Ordered is what became of an order.
type Ordered struct {
	Execution Execution `json:"execution" doc:"The execution after it"`
	Taken     bool      `json:"taken" doc:"The engine has carried it out; false if it will"`
	// At names the order as long as it is not taken.
	At time.Time `json:"at" doc:"When the order was given"`
}

// Answer answers a question of an execution.
type Answer struct {
	Step     string         `json:"step,omitempty" doc:"The step that asks; needed only if several do"`
	Values   map[string]any `json:"values,omitempty" doc:"The fields of the form"`
	Decision string         `json:"decision,omitempty" enum:"repeat,failed,done" doc:"What is to become of a step of which it is not known whether it took effect"`
}

// Answered tells which question was answered.
type Answered struct {
	ID     string `json:"id"`
	Step   string `json:"step"`
	Title  string `json:"title"`
	Result string `json:"result" enum:"answered"`
	Taken  bool   `json:"taken" doc:"The engine has it; false if it will"`
}
