package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/journal"
)

const (
	existsExecution = `SELECT 1 FROM execution WHERE id = ?`
	insertOrder     = `INSERT INTO orders (execution, body) VALUES (?, x'')`
	updateOrder     = `UPDATE orders SET body = ? WHERE number = ?`
	listOrders      = `SELECT number, execution, body FROM orders ORDER BY number`
)

// Order gives an order to the engine that works on the store, now or later. Its
// error is of kind notfound if there is no such execution.
func (e *Executions) Order(ctx context.Context, order journal.Order) error {
	m, err := e.members.get(ctx, order.Execution)
	if err != nil {
		return e.s.explain(fmt.Sprintf("give an order for execution %s", order.Execution), err)
	}
	return e.s.write(ctx, fmt.Sprintf("give an order for execution %s", order.Execution), func(tx *sql.Tx, _ *keys) error {
		var exists int
		if err := tx.QueryRowContext(ctx, existsExecution, string(order.Execution)).Scan(&exists); err != nil {
			if errors.Is(err, sql.ErrNoRows) {
				err = missingExecution(order.Execution)
			}
			return err
		}
		result, err := tx.ExecContext(ctx, insertOrder, string(order.Execution))
		if err != nil {
			return err
		}
		number, err := result.LastInsertId()
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, updateOrder, m.seal(encodeOrder(order), "orders", int(number)), number)
		return err
	})
}

// Orders gives the orders that no change has carried out yet, oldest first. Those
// that cannot be decrypted are left out, and the error tells of each.
func (e *Executions) Orders(ctx context.Context) ([]journal.Order, error) {
	rows, err := e.s.db.QueryContext(ctx, listOrders)
	if err != nil {
		return nil, e.s.explain("read orders", err)
	}
	defer func() { _ = rows.Close() }()
	type sealedOrder struct {
		number int64
		id     engine.ID
		body   []byte
	}
	var sealed []sealedOrder
	for rows.Next() {
		var o sealedOrder
		if err := rows.Scan(&o.number, (*string)(&o.id), &o.body); err != nil {
			return nil, e.s.explain("read orders", err)
		}
		sealed = append(sealed, o)
	}
	if err := rows.Err(); err != nil {
		return nil, e.s.explain("read orders", err)
	}
	var orders []journal.Order
	var faults []error
	for _, o := range sealed {
		m, err := e.members.get(ctx, o.id)
		var order journal.Order
		if err == nil {
			order, err = openOrder(m, o.number, o.id, o.body)
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		orders = append(orders, order)
	}
	return orders, e.s.explain("read orders", errors.Join(faults...))
}

func openOrder(m *member, number int64, id engine.ID, body []byte) (journal.Order, error) {
	text, ok := m.open(body, "orders", int(number))
	if !ok {
		return journal.Order{}, damaged("order %d for execution %s", number, id)
	}
	order, err := decodeOrder(text)
	if err != nil {
		return journal.Order{}, fail(engine.Permanent, "", "order %d for execution %s: %v", number, id, err)
	}
	order.Number, order.Execution = number, id
	return order, nil
}

// encodeOrder and encodeLine write trees of values, so that what a newer weir
// adds does not disturb an older one.
func encodeOrder(o journal.Order) []byte {
	return journal.EncodeValue(map[string]any{
		"verb": string(o.Verb), "step": o.Step, "value": o.Value, "by": o.By, "at": micros(o.At),
	})
}

func decodeOrder(text []byte) (o journal.Order, err error) {
	tree, err := journal.DecodeValue(text)
	fields, _ := tree.(map[string]any)
	verb, _ := fields["verb"].(string)
	o.Verb = journal.Verb(verb)
	o.Step, _ = fields["step"].(string)
	o.Value = fields["value"]
	o.By, _ = fields["by"].(string)
	at, _ := fields["at"].(int64)
	o.At = time.UnixMicro(at).UTC()
	return o, err
}

func encodeLine(event engine.Event) []byte {
	fields := map[string]any{
		"execution": string(event.Execution), "level": string(event.Level), "message": event.Message, "time": micros(event.Time),
	}
	if event.Where != "" {
		fields["where"] = event.Where
	}
	if event.Fields != nil {
		fields["fields"] = event.Fields
	}
	return journal.EncodeValue(fields)
}

func decodeLine(text []byte) (event engine.Event, err error) {
	tree, err := journal.DecodeValue(text)
	fields, _ := tree.(map[string]any)
	id, _ := fields["execution"].(string)
	level, _ := fields["level"].(string)
	at, _ := fields["time"].(int64)
	event = engine.Event{Execution: engine.ID(id), Kind: engine.EventLog, Level: engine.Level(level), Time: time.UnixMicro(at).UTC()}
	event.Message, _ = fields["message"].(string)
	event.Where, _ = fields["where"].(string)
	event.Fields, _ = fields["fields"].(map[string]any)
	return event, err
}
