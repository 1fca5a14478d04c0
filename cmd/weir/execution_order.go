package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/api"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
)

// ordering is a command that asks something of executions.
type ordering struct {
	verb  journal.Verb
	usage cobra.Command
}

func (o ordering) command(a *app) *cobra.Command {
	cmd := o.usage
	cmd.Args = someArgs
	cmd.ValidArgsFunction = a.completeExecutions
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		services, err := a.services(cmd.Context())
		if err != nil {
			return err
		}
		var faults []error
		var all []api.Execution
		for _, arg := range args {
			ordered, err := services.Orders.Order(cmd.Context(), arg, api.Order{Verb: string(o.verb)})
			if err == nil {
				err = a.sayTaken(cmd.Context(), ordered.Taken)
			}
			if err != nil {
				faults = append(faults, err)
				continue
			}
			all = append(all, ordered.Execution)
		}
		if len(all) == 0 {
			return joinFaults(faults)
		}
		faults = append(faults, a.print(plainList(all), func(t *table) {
			for _, e := range all {
				t.row(e.ID, statusText(e))
			}
		}))
		return joinFaults(present(faults))
	}
	return &cmd
}

// sayTaken tells the user why an order has not been carried out.
func (a *app) sayTaken(ctx context.Context, taken bool) error {
	if taken {
		return nil
	}
	client, err := a.remote()
	if err != nil {
		return err
	}
	if client == nil {
		opened, err := a.store(ctx)
		if err != nil {
			return err
		}
		if runs, err := a.served(ctx, opened, "this waits for one"); err != nil || !runs {
			return err
		}
	}
	a.say("note: the engine has not taken this yet; it will")
	return nil
}

// present leaves out what is no error.
func present(faults []error) []error {
	var found []error
	for _, err := range faults {
		if err != nil {
			found = append(found, err)
		}
	}
	return found
}

func someArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return exactly(1)(cmd, args)
	}
	return nil
}

// isTaken tells whether the engine has carried an order out.
func isTaken(ctx context.Context, executions *store.Executions, order journal.Order) (bool, error) {
	_, waits, err := waitingOrder(ctx, executions, func(o journal.Order) bool { return same(o, order) && o.At.Equal(order.At) })
	return !waits, err
}

// same tells whether two orders ask for the same.
func same(a, b journal.Order) bool {
	return a.Execution == b.Execution && a.Verb == b.Verb && a.Step == b.Step
}

// waitingOrder finds an order that the engine has not carried out yet.
func waitingOrder(ctx context.Context, executions *store.Executions, is func(journal.Order) bool) (journal.Order, bool, error) {
	orders, err := executions.Orders(ctx)
	for _, o := range orders {
		if is(o) {
			return o, true, nil
		}
	}
	return journal.Order{}, false, err
}

// ended is the error for an execution to which nothing can be done any more.
func ended(r journal.Row, hint string) error {
	return &engine.Error{
		Kind: engine.Conflict, Message: "execution " + string(r.ID) + " has ended: it " + endings()[r.Status] + " at " + clock(r.Ended),
		Hint: hint,
	}
}

func endings() map[engine.Status]string {
	return map[engine.Status]string{engine.Succeeded: "succeeded", engine.Failed: "failed", engine.Cancelled: "was cancelled"}
}
