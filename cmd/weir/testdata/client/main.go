// The program uses a server with a client that was generated from the server's OpenAPI
// document, as somebody would who has nothing else of weir. Package weirapi is made by
// the test that runs it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"

	"client.example/weirapi"
)

func main() {
	if err := use(context.Background(), os.Getenv("WEIR_ADDR"), os.Getenv("WEIR_TOKEN")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// signed puts a token on requests.
func signed(token string) weirapi.ClientOption {
	return weirapi.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	})
}

const flow = `
	log.info("first", { n = 1 })
	local child = task("FAKE", { payload = input.payload })
	log.info("second", { n = 2 })
	return { payload = child.output.inputs.payload, large = input.large }`

func use(ctx context.Context, address, token string) error {
	c, err := weirapi.NewClientWithResponses(address, signed(token))
	if err != nil {
		return err
	}
	me, err := c.GetMeWithResponse(ctx)
	if err != nil || me.JSON200 == nil {
		return fmt.Errorf("who am I: %w: %+v", err, me)
	}
	fmt.Println("user", me.JSON200.User.Name, me.JSON200.User.Role)
	stored, err := c.ApplyFlowsWithResponse(ctx, weirapi.ApplyFlowsJSONRequestBody{Flows: []weirapi.FlowText{{Name: "generated", Text: flow}}})
	if err != nil || stored.JSON200 == nil {
		return fmt.Errorf("store a flow: %w: %+v", err, stored)
	}
	fmt.Println("flow", stored.JSON200.Flows[0].Name, stored.JSON200.Flows[0].Version)
	name, key := "generated", "once"
	inputs := map[string]any{"payload": "from the generated client", "large": json.Number("9007199254740993")}
	started, err := c.StartExecutionWithResponse(ctx, &weirapi.StartExecutionParams{IdempotencyKey: &key}, weirapi.Start{Flow: &name, Inputs: inputs})
	if err != nil || started.JSON200 == nil {
		return fmt.Errorf("start the flow: %w: %+v", err, started)
	}
	again, err := c.StartExecutionWithResponse(ctx, &weirapi.StartExecutionParams{IdempotencyKey: &key}, weirapi.Start{Flow: &name, Inputs: inputs})
	if err != nil || again.JSON200 == nil || again.JSON200.Id != started.JSON200.Id {
		return fmt.Errorf("start it again with the same key: %w: %+v", err, again)
	}
	last, err := watch(ctx, c, started.JSON200.Id, "")
	if err != nil {
		return err
	}
	if _, err := watch(ctx, c, started.JSON200.Id, last); err != nil {
		return err
	}
	shown, err := c.GetExecutionTimelineWithResponse(ctx, started.JSON200.Id, nil)
	if err != nil || shown.JSON200 == nil {
		return fmt.Errorf("read the output: %w: %s", err, shown.Body)
	}
	var body struct{ Output json.RawMessage } // as it was written: a number may be too large for a float64
	if err := json.Unmarshal(shown.Body, &body); err != nil {
		return err
	}
	fmt.Println("output", string(body.Output))
	for _, step := range shown.JSON200.Steps {
		fmt.Println("step", step.Step, step.Kind, step.Type, step.Status)
	}
	return refused(ctx, address, c)
}

// watch reads the events of an execution until it has ended, and gives the id of the
// last one.
func watch(ctx context.Context, c *weirapi.ClientWithResponses, id, after string) (last string, err error) {
	params := &weirapi.WatchExecutionParams{}
	if after != "" {
		params.LastEventID = &after
	}
	response, err := c.ClientInterface.WatchExecution(ctx, id, params)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	kind := ""
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			last = value
		case "event":
			kind = value
		case "data":
			if kind == "log" {
				var line weirapi.Line
				if err := json.Unmarshal([]byte(value), &line); err != nil {
					return "", err
				}
				fmt.Println("line", line.Level, line.Message)
				continue
			}
			var state weirapi.Execution
			if err := json.Unmarshal([]byte(value), &state); err != nil {
				return "", err
			}
			if state.Ended != nil {
				fmt.Println("ended", state.Status)
				return last, nil
			}
		}
	}
	return "", fmt.Errorf("the events broke off: %w", lines.Err())
}

// refused looks at what a wrong token, an unknown execution and a wrong request come to.
func refused(ctx context.Context, address string, c *weirapi.ClientWithResponses) error {
	stranger, err := weirapi.NewClientWithResponses(address, signed("weir_wrong"))
	if err != nil {
		return err
	}
	me, err := stranger.GetMeWithResponse(ctx)
	if err != nil || me.JSONDefault == nil {
		return fmt.Errorf("a wrong token: %w: %+v", err, me)
	}
	fmt.Println("wrong token:", me.StatusCode(), me.JSONDefault.Code)
	missing, err := c.GetExecutionWithResponse(ctx, "nonesuch")
	if err != nil || missing.JSONDefault == nil {
		return fmt.Errorf("an unknown execution: %w: %+v", err, missing)
	}
	fmt.Println("unknown execution:", missing.StatusCode(), missing.JSONDefault.Code, missing.JSONDefault.Message)
	nothing, err := c.StartExecutionWithResponse(ctx, nil, weirapi.Start{})
	if err != nil || nothing.JSONDefault == nil {
		return fmt.Errorf("nothing to start: %w: %+v", err, nothing)
	}
	fmt.Println("nothing to start:", nothing.StatusCode(), nothing.JSONDefault.Code)
	return nil
}
