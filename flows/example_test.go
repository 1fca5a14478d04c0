package flows_test

import (
	"context"
	"fmt"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/flows"
)

// echo is a host whose connections give their inputs back.
type echo struct{}

func (echo) Call(_ context.Context, c engine.Call) (engine.Reply, error) {
	e := engine.Execution{ID: "1", Name: c.Name, Status: engine.Succeeded, Output: c.Inputs}
	return engine.Reply{Executions: []engine.Execution{e}}, nil
}

func (echo) Parallel([]func()) {}

func (echo) Emit(e engine.Event) { fmt.Println(e.Where, e.Level, e.Message) }

func Example() {
	program, err := flows.Compile("greet.lua", []byte(`
local reply = connect("mail", { to = input.name, subject = "hello" })
log.info("sent to " .. reply.output.to)
return { subject = reply.output.subject }
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	output, err := flows.Run(context.Background(), program, flows.Config{
		Host:  echo{},
		Input: map[string]any{"name": "ada"},
	})
	fmt.Println(output, err)
	// Output:
	// greet.lua:3 info sent to ada
	// map[subject:hello] <nil>
}

func ExampleCompile() {
	_, err := flows.Compile("broken.lua", []byte("local x = 1\nif x then"))
	fmt.Println(err)
	// Output: broken.lua:2: syntax error at the end of the file
}

func ExampleRun() {
	program, err := flows.Compile("typo.lua", []byte(`conect("mail")`))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = flows.Run(context.Background(), program, flows.Config{Host: echo{}})
	failed := err.(*engine.Error) //nolint:errorlint // the contract of Run
	fmt.Println(failed)
	fmt.Println(failed.Kind, "-", failed.Hint)
	// Output:
	// typo.lua:1: undefined variable "conect"
	// invalid - did you mean connect?
}
