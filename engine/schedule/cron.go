package schedule

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/netresearch/go-cron"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/engine"
)

// Cron is a cron expression in a time zone. It is immutable.
type Cron struct {
	calendar cron.Schedule // in UTC, which stands for the clock on the wall
	zone     *time.Location
	hourly   bool // every hour of the day is in it
}

// searchYears is how far away the next time of an expression may be: the 29th of
// February comes again after eight years around 2100.
const searchYears = 12

// field is one of the five of an expression.
type field struct {
	name  string
	takes string
	names []string // that stand for numbers
}

func fields() [5]field {
	return [5]field{
		{"minute", "0-59", nil},
		{"hour", "0-23", nil},
		{"day of the month", "1-31", nil},
		{"month", "1-12 or JAN-DEC", []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}},
		{"day of the week", "0-7 or SUN-SAT", []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}},
	}
}

// shortcuts are what can be said in place of the five fields.
func shortcuts() map[string]string {
	return map[string]string{
		"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
		"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
	}
}

// Parse reads a cron expression of five fields, or one such as "@daily", that is meant
// in a time zone; see [Zone]. Its error is of kind invalid, and names the field. One
// whose time never comes is an error as well.
func Parse(expression, zone string) (*Cron, error) {
	location, err := Zone(zone)
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(expression)
	if strings.HasPrefix(text, "@") {
		if text, err = shortcut(text); err != nil {
			return nil, err
		}
	}
	words := strings.Fields(text)
	if strings.Contains(text, "TZ=") {
		return nil, invalid("the time zone is given apart", "cron %q: it has five fields", clipped(expression))
	}
	if len(words) != len(fields()) {
		return nil, invalid(`they are minute, hour, day of the month, month, day of the week, such as "30 2 * * MON-FRI"`,
			"cron %q: it has five fields, not %d", clipped(expression), len(words))
	}
	for i, f := range fields() {
		if err := f.check(i, words[i]); err != nil {
			return nil, err
		}
	}
	parsed, err := parser().Parse(strings.Join(words, " "))
	if err != nil {
		return nil, invalid("", "cron %q is no cron expression", clipped(expression))
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, invalid("", "cron %q is no cron expression", clipped(expression))
	}
	spec.Location = time.UTC
	const allHours = 1<<24 - 1
	c := &Cron{calendar: spec, zone: location, hourly: spec.Hour&allHours == allHours}
	if c.calendar.Next(time.Unix(0, 0).UTC()).IsZero() {
		return nil, invalid("no month that it names has such a day", "cron %q: its time never comes", clipped(expression))
	}
	return c, nil
}

func parser() cron.Parser {
	const all = cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.DowOrDom
	return cron.MustNewParser(all).WithMaxSearchYears(searchYears)
}

func shortcut(text string) (string, error) {
	known := shortcuts()
	if fields, ok := known[strings.ToLower(text)]; ok {
		return fields, nil
	}
	names := slices.Sorted(maps.Keys(known))
	hint := schema.DidYouMean(text, names)
	switch {
	case strings.HasPrefix(text, "@every"):
		hint = `every ten minutes are "*/10 * * * *", every two hours "0 */2 * * *"`
	case hint == "":
		hint = "there are " + strings.Join(names, ", ")
	}
	return "", invalid(hint, "cron %q: there is none of this name", clipped(text))
}

// check finds a mistake in a field, so that it can be named.
func (f field) check(at int, word string) error {
	others := []string{"*", "*", "*", "*", "*"}
	others[at] = word
	_, err := parser().Parse(strings.Join(others, " "))
	ranged, step, stepped := strings.Cut(word, "/")
	switch {
	case err != nil, slices.Contains(strings.Split(word, ","), ""):
	case f.name == "day of the week" && stepped && step != "1" && strings.Contains(ranged, "-") && f.wraps(word):
		// Where Sunday is counted in steps depends on whom one asks.
		return invalid("name the days one by one", "%s %q: a range with a step goes from SUN to SAT", f.name, clipped(word))
	default:
		return nil
	}
	hint := ""
	for _, part := range strings.FieldsFunc(word, func(r rune) bool { return !unicode.IsLetter(r) }) {
		if near := schema.DidYouMean(strings.ToUpper(part), f.names); near != "" && !slices.Contains(f.names, strings.ToUpper(part)) {
			hint = near
			break
		}
	}
	if hint == "" {
		hint = "a range is like 1-5, a list like 1,5, a step like */5 or 10-20/5"
	}
	return invalid(hint, "%s %q: it takes * or %s", f.name, clipped(word), f.takes)
}

// wraps tells whether a part of a list of days of the week goes over its end.
func (f field) wraps(word string) bool {
	number := func(text string) int {
		if i := slices.Index(f.names, strings.ToUpper(text)); i >= 0 {
			return i
		}
		return strings.Index("01234567", text)
	}
	for part := range strings.SplitSeq(word, ",") {
		ranged, _, _ := strings.Cut(part, "/")
		if from, to, ok := strings.Cut(ranged, "-"); ok && number(from) > number(to) {
			return true
		}
	}
	return false
}

// shown bounds what an error repeats.
func clipped(text string) string {
	const most = 100
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return text
}

func invalid(hint, format string, args ...any) error {
	return &engine.Error{Kind: engine.Invalid, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// Zone gives the time zone in which times mean what they say.
func (c *Cron) Zone() *time.Location { return c.zone }

// Next gives the first time after another that the expression leads to, in UTC.
func (c *Cron) Next(after time.Time) time.Time {
	// Between two changes of the zone's offset the clock on the wall just goes on:
	// each such stretch is gone through by what its wall shows.
	t := after.In(c.zone)
	wall := onWall(t)
	for {
		_, offset := t.Zone()
		begin, end := stretch(t)
		if repeated := c.repeated(begin, offset); wall.Before(repeated) {
			wall = repeated
		}
		shown := c.calendar.Next(wall)
		if shown.IsZero() {
			return time.Time{}
		}
		found := shown.Add(-time.Duration(offset) * time.Second)
		if end.IsZero() || found.Before(end) {
			return found.UTC()
		}
		change := end.In(c.zone)
		if c.runsAfterGap(shown, change) {
			return change.UTC()
		}
		near := change.Sub(t) < maxShift // the wall may show again what it has shown before t
		t, wall = change, onWall(change).Add(-time.Nanosecond)
		if far := found.Add(-maxShift).In(c.zone); !near && far.After(change) {
			t, wall = far, onWall(far)
		}
	}
}

// stretch gives the bounds of the time around t in which the offset stays the same, or
// a part of it that begins before t; no end for ever.
func stretch(t time.Time) (begin, end time.Time) {
	begin, end = t.ZoneBounds()
	if !end.IsZero() && !end.After(t) { // as Go has it for the last day of leap years from 2040 on
		end = t.Add(24 * time.Hour)
	}
	return begin, end
}

// maxShift is more than a zone's offset has ever changed by at once.
const maxShift = 48 * time.Hour

// onWall gives what the clock on the wall shows, as a time in UTC.
func onWall(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// repeated gives the last moment of what a stretch shows a second time, because
// clocks went back at its beginning; zero if that counts as well.
func (c *Cron) repeated(begin time.Time, offset int) time.Time {
	if begin.IsZero() || c.hourly {
		return time.Time{}
	}
	_, before := begin.Add(-time.Nanosecond).In(c.zone).Zone()
	if before <= offset {
		return time.Time{}
	}
	return begin.UTC().Add(time.Duration(before)*time.Second - time.Nanosecond)
}

// runsAfterGap tells whether a time that the wall would show next is left out by it,
// because clocks go forward at a change, and runs right then.
func (c *Cron) runsAfterGap(shown, change time.Time) bool {
	if !shown.Before(onWall(change)) {
		return false // there is no gap, or it is not in it
	}
	if !c.hourly {
		return true
	}
	_, before := change.Add(-time.Nanosecond).Zone()
	_, offset := change.Zone()
	regular := c.calendar.Next(onWall(change).Add(-time.Nanosecond)).Add(-time.Duration(offset) * time.Second)
	anHourBefore := onWall(regular.Add(-time.Hour).In(c.zone))
	last := c.calendar.Next(anHourBefore.Add(-time.Nanosecond))
	return !last.Before(change.UTC().Add(time.Duration(before) * time.Second))
}
