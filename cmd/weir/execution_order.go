package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
	"github.com/weir-engine/weir/engine/store"
)

// ordering is a command that asks something of executions.
type ordering struct {
	verb  journal.Verb
	usage cobra.Command
	// already tells that an execution is in the wanted state; the error is for one
	// that cannot come to it.
	already func(journal.Row) (bool, error)
}

func (o ordering) command(a *app) *cobra.Command {
	cmd := o.usage
	cmd.Args = someArgs
	cmd.ValidArgsFunction = a.completeExecutions
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opened, err := a.executionStore(cmd.Context())
		if err != nil {
			return err
		}
		var faults []error
		var rows []journal.Row
		for _, arg := range args {
			row, err := o.carryOut(cmd.Context(), a, opened, arg)
			if err != nil {
				faults = append(faults, err)
				continue
			}
			rows = append(rows, row)
		}
		if len(rows) == 0 {
			return joinFaults(faults)
		}
		data := []any{}
		for _, r := range rows {
			data = append(data, rowTree(r))
		}
		faults = append(faults, a.print(data, func(t *table) {
			for _, r := range rows {
				t.row(r.ID, statusText(r))
			}
		}))
		return joinFaults(present(faults))
	}
	return &cmd
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

// carryOut gives the order for one execution, and the execution after it.
func (o ordering) carryOut(ctx context.Context, a *app, opened *store.Store, arg string) (journal.Row, error) {
	row, err := find(ctx, opened.Executions(), arg)
	if err != nil {
		return row, err
	}
	if already, err := o.already(row); already || err != nil {
		return row, err
	}
	if _, err := a.order(ctx, opened, journal.Order{Execution: row.ID, Verb: o.verb}); err != nil {
		return row, err
	}
	return opened.Executions().Row(ctx, row.ID)
}

// orderPatience is how long a command waits for the engine to take an order.
const orderPatience = 5 * time.Second

// order gives an order to the engine, and waits until it has taken it if there is
// one. It gives the order as the store has it.
func (a *app) order(ctx context.Context, opened *store.Store, o journal.Order) (journal.Order, error) {
	o.At = time.Now().UTC().Truncate(time.Microsecond)
	if err := opened.Executions().Order(ctx, o); err != nil {
		return o, err
	}
	if runs, err := a.served(ctx, opened, "this waits for one"); err != nil || !runs {
		return o, err
	}
	tick := time.NewTicker(followInterval / 5)
	defer tick.Stop()
	patience := time.NewTimer(orderPatience)
	defer patience.Stop()
	for {
		taken, err := isTaken(ctx, opened.Executions(), o)
		if taken || err != nil {
			return o, err
		}
		select {
		case <-tick.C:
		case <-patience.C:
			a.say("note: the engine has not taken this yet; it will")
			return o, nil
		case <-ctx.Done():
			return o, ctx.Err()
		}
	}
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
