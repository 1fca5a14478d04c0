package sqloracle

import (
	"database/sql"
	"encoding/base64"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	goora "github.com/sijms/go-ora/v2"
)

// mostElements is how many elements a table that is bound may have.
const mostElements = 32767

// tableArgument makes what is sent for a list: an index-by table of PL/SQL.
func (s *session) tableArgument(as string, list []any) (any, error) {
	dest, _, err := s.table(as, list)
	if err != nil {
		return nil, err
	}
	return reflect.ValueOf(dest).Elem().Interface(), nil
}

// outTable makes an OUT or IN OUT parameter that is a table with room for so many
// elements.
func (s *session) outTable(as string, m map[string]any) (any, *out, error) {
	room, err := strconv.Atoi(fmt.Sprint(m["array"]))
	if err != nil || room < 1 || room > mostElements {
		return nil, nil, fmt.Errorf("array is how many elements there is room for, from 1 to %d", mostElements)
	}
	list, isList := m["value"].([]any)
	switch {
	case m["value"] != nil && !isList:
		return nil, nil, fmt.Errorf("the value of an array is a list")
	case len(list) > 0 && len(list) != room:
		// go-ora announces as many elements as there is room for.
		return nil, nil, fmt.Errorf("a list of %d elements, and array is %d: an IN OUT parameter has room for as many as its value has, of which some may be null", len(list), room)
	}
	dest, value, err := s.table(as, list)
	if err != nil {
		return nil, nil, err
	}
	return goora.Out{Dest: dest, Size: room, In: isList}, &out{as: as, value: value}, nil
}

// table gives a pointer to a slice with the elements, and reads what came back in
// there.
func (s *session) table(as string, list []any) (dest any, value func() (any, error), err error) {
	if len(list) > mostElements {
		return nil, nil, fmt.Errorf("a list of %d elements: %d are the most", len(list), mostElements)
	}
	if !slices.Contains([]string{"number", "string", "date", "timestamp", "timestamp_tz", "raw"}, as) {
		return nil, nil, fmt.Errorf("an array is of the type number, string, date, timestamp, timestamp_tz or raw, and not %q", as)
	}
	values := make([]any, len(list))
	for i, v := range list {
		if values[i], err = s.typed(as, map[string]any{"value": v}); err != nil {
			return nil, nil, fmt.Errorf("element %d: %w", i+1, err)
		}
	}
	switch as {
	case "number":
		dest, value = elements(values, func(n *goora.Number) *goora.Number { return n }, func(n *goora.Number) (any, error) {
			if n == nil {
				return nil, nil
			}
			text, err := n.String()
			if err != nil {
				return nil, err
			}
			return exact(text)
		})
	case "string":
		dest, value = elements(values, func(text string) sql.NullString { return sql.NullString{String: text, Valid: true} },
			func(text sql.NullString) (any, error) { return textOrNil(text.String), nil })
	case "raw":
		dest, value = elements(values, func(b []byte) []byte { return b }, func(b []byte) (any, error) { return bytesOrNil(b, upperHex), nil })
	case "date": // go-ora sends these as DATE, and those below as TIMESTAMP
		dest, value = elements(values, func(t goora.TimeStamp) sql.NullTime { return sql.NullTime{Time: time.Time(t), Valid: true} },
			func(t sql.NullTime) (any, error) { return timeOrNil(t.Time, t.Valid, localLayout), nil })
	case "timestamp":
		dest, value = elements(values, func(t goora.TimeStamp) goora.NullTimeStamp { return goora.NullTimeStamp{TimeStamp: t, Valid: true} },
			func(t goora.NullTimeStamp) (any, error) {
				return timeOrNil(time.Time(t.TimeStamp), t.Valid, localLayout), nil
			})
	case "timestamp_tz":
		dest, value = elements(values, func(t goora.TimeStampTZ) goora.NullTimeStampTZ {
			return goora.NullTimeStampTZ{TimeStampTZ: t, Valid: true}
		},
			func(t goora.NullTimeStampTZ) (any, error) {
				return timeOrNil(time.Time(t.TimeStampTZ), t.Valid, time.RFC3339Nano), nil
			})
	}
	return dest, value, nil
}

// elements makes a slice of values, of which those that are no T are NULL, and the
// function that reads all of it.
func elements[T, E any](values []any, of func(T) E, read func(E) (any, error)) (dest any, value func() (any, error)) {
	list := make([]E, len(values))
	for i, v := range values {
		if t, ok := v.(T); ok {
			list[i] = of(t)
		}
	}
	return &list, func() (any, error) {
		got := make([]any, len(list))
		for i, e := range list {
			var err error
			if got[i], err = read(e); err != nil {
				return nil, err
			}
		}
		return got, nil
	}
}

func timeOrNil(t time.Time, valid bool, layout string) any {
	if !valid {
		return nil
	}
	return t.Format(layout)
}

func base64OrNil(b []byte) any { return bytesOrNil(b, base64.StdEncoding.EncodeToString) }
