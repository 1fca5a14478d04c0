package schedule_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-engine/weir/engine"
	"github.com/weir-engine/weir/engine/schedule"
)

func TestMistakesAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ expression, zone, message, hint string }{
		{"", "", "it has five fields, not 0", "minute, hour"},
		{"0 0 * *", "", "it has five fields, not 4", "minute, hour"},
		{"0 0 0 * * *", "", "it has five fields, not 6", "minute, hour"},
		{"60 * * * *", "", `minute "60": it takes * or 0-59`, "a list like"},
		{"*/0 * * * *", "", `minute "*/0"`, ""},
		{"*/90 * * * *", "", `minute "*/90"`, ""},
		{"1,,2 * * * *", "", `minute "1,,2"`, ""},
		{"0 24 * * *", "", `hour "24": it takes * or 0-23`, ""},
		{"0 -1 * * *", "", `hour "-1"`, ""},
		{"0 0 32 * *", "", `day of the month "32": it takes * or 1-31`, ""},
		{"0 0 1 JANU *", "", `month "JANU": it takes * or 1-12 or JAN-DEC`, `did you mean "JAN"?`},
		{"0 0 * * MON-FRY", "", `day of the week "MON-FRY"`, `did you mean "FRI"?`},
		{"0 0 * * 8", "", `day of the week "8": it takes * or 0-7 or SUN-SAT`, ""},
		{"0 0 * * FRI-MON/2", "", `day of the week "FRI-MON/2"`, "one by one"},
		{"0 0 * * 1#2", "", `day of the week "1#2"`, ""},
		{"0 0 30 2 *", "", `cron "0 0 30 2 *": its time never comes`, "no month that it names has such a day"},
		{"0 0 31 4,6,9,11 *", "", "its time never comes", ""},
		{"@dayly", "", `cron "@dayly"`, `did you mean "@daily"?`},
		{"@every 5m", "", "", `"*/10 * * * *"`},
		{"@reboot", "", "", "there are @annually"},
		{"TZ=UTC 0 0 * * *", "", "five fields", "the time zone is given apart"},
		{"@daily", "Somewhere", `no such time zone: "Somewhere"`, "a time zone is called like"},
		{"@daily", "europe/vienna", `no such time zone: "europe/vienna"`, `did you mean "Europe/Vienna"?`},
		{"@daily", "Vienna", "", `did you mean "Europe/Vienna"?`},
		{"@daily", "new york", "", `did you mean "America/New_York"?`},
		{"@daily", "Europe/Viena", "", `did you mean "Europe/Vienna"?`},
		{"@daily", "Local", `no such time zone: "Local"`, ""},
		{"@daily", "right/UTC", `no such time zone`, ""},
		{"@daily", "../../etc/passwd", `no such time zone`, ""},
		{strings.Repeat("1,", 5000) + "1 * * * *", "", "minute", ""},
	} {
		_, err := schedule.Parse(c.expression, c.zone)
		var failure *engine.Error
		if !errors.As(err, &failure) || failure.Kind != engine.Invalid || !strings.Contains(failure.Message, c.message) || !strings.Contains(failure.Hint, c.hint) {
			t.Errorf("%.60q, %q: got %v", c.expression, c.zone, err)
			if failure != nil {
				t.Errorf("\thint: %s", failure.Hint)
			}
		}
		if len(fmt.Sprint(err)) > 300 {
			t.Errorf("%.60q: the error has %d bytes", c.expression, len(err.Error()))
		}
	}
}

// times gives the next times as the clock on the wall of the zone shows them.
func times(t *testing.T, expression, zone, after string, n int) (found []string) {
	t.Helper()
	c, err := schedule.Parse(expression, zone)
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.ParseInLocation("2006-01-02 15:04", after, c.Zone())
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		at = c.Next(at)
		found = append(found, at.In(c.Zone()).Format("2 15:04-07"))
	}
	return found
}

func TestClockChanges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ what, expression, zone, after, want string }{
		{"a time in the gap", "30 2 * * *", "Europe/Vienna", "2026-03-28 03:00", "29 03:00+02, 30 02:30+02"},
		{"several in one gap", "*/20 2 * * *", "Europe/Vienna", "2026-03-28 03:00", "29 03:00+02, 30 02:00+02"},
		{"one in the gap and one after it", "0 2,3 * * *", "Europe/Vienna", "2026-03-28 04:00", "29 03:00+02, 30 02:00+02"},
		{"every two hours, forward", "0 */2 * * *", "Europe/Vienna", "2026-03-29 00:00", "29 03:00+02, 29 04:00+02"},
		{"every hour, forward", "30 * * * *", "Europe/Vienna", "2026-03-29 00:30", "29 01:30+01, 29 03:30+02, 29 04:30+02"},
		{"every ten minutes, forward", "*/10 * * * *", "Europe/Vienna", "2026-03-29 01:30", "29 01:40+01, 29 01:50+01, 29 03:00+02, 29 03:10+02"},
		{"a time that is there twice", "30 2 * * *", "Europe/Vienna", "2026-10-24 03:00", "25 02:30+02, 26 02:30+01"},
		{"every two hours, back", "0 */2 * * *", "Europe/Vienna", "2026-10-25 00:00", "25 02:00+02, 25 04:00+01"},
		{"every hour, back", "30 * * * *", "Europe/Vienna", "2026-10-25 00:30", "25 01:30+02, 25 02:30+02, 25 02:30+01, 25 03:30+01"},
		{"a half-hour gap", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03 03:00", "4 02:30+11, 5 02:15+11"},
		{"a half-hour gap, every hour at its time", "0 * * * *", "Australia/Lord_Howe", "2026-10-04 00:30", "4 01:00+10, 4 02:30+11, 4 03:00+11, 4 04:00+11"},
		{"a half-hour gap, every hour", "45 * * * *", "Australia/Lord_Howe", "2026-10-04 00:50", "4 01:45+10, 4 02:45+11, 4 03:45+11"},
		{"half an hour twice", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04 03:00", "5 01:45+11, 6 01:45+10"},
		{"half an hour twice, every ten minutes", "*/10 * * * *", "Australia/Lord_Howe", "2026-04-05 01:20", "5 01:30+11, 5 01:40+11, 5 01:50+11, 5 01:30+10, 5 01:40+10, 5 01:50+10, 5 02:00+10"},
		{"a day without midnight", "@daily", "America/Havana", "2026-03-07 01:00", "8 01:00-04, 9 00:00-04"},
		{"a day without midnight, in Cairo", "0 0 * * FRI", "Africa/Cairo", "2026-04-20 00:00", "24 01:00+03, 1 00:00+03"},
		{"a month without midnight", "@monthly", "America/Asuncion", "2017-09-02 00:00", "1 01:00-03, 1 00:00-03"},
		{"midnight twice", "@daily", "America/Havana", "2026-10-31 01:00", "1 00:00-04, 2 00:00-05"},
		{"a day that was left out", "0 12 30 12 *", "Pacific/Apia", "2011-12-01 00:00", "31 00:00+14, 30 12:00+14"},
		{"two hours", "30 2 * * *", "Antarctica/Troll", "2026-03-28 04:00", "29 03:00+02, 30 02:30+02"},
		{"either day", "0 0 13 * FRI", "", "2026-03-01 00:00", "6 00:00+00, 13 00:00+00, 20 00:00+00, 27 00:00+00, 3 00:00+00, 10 00:00+00, 13 00:00+00"},
		{"a leap day", "0 0 29 2 *", "", "2096-03-01 00:00", "29 00:00+00"},
		{"names", "0 9 1 jan-feb *", "Asia/Kathmandu", "2026-01-15 00:00", "1 09:00+05"},
		{"over the end", "0 22-1/3 * * fri-sun", "", "2026-11-20 02:00", "20 22:00+00, 21 01:00+00, 21 22:00+00, 22 01:00+00, 22 22:00+00, 27 01:00+00"},
	} {
		got := strings.Join(times(t, c.expression, c.zone, c.after, strings.Count(c.want, ",")+1), ", ")
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.what, got, c.want)
		}
	}
}

// changes are moments at which the clocks of zones were set.
var changes = []struct{ zone, at string }{
	{"Europe/Vienna", "2026-03-29"},
	{"Europe/Vienna", "2026-10-25"},
	{"America/New_York", "2027-03-14"},
	{"America/New_York", "2027-11-07"},
	{"Australia/Lord_Howe", "2026-04-04"},
	{"Australia/Lord_Howe", "2026-10-03"},
	{"America/Havana", "2026-03-08"},
	{"America/Havana", "2026-11-01"},
	{"Africa/Cairo", "2026-04-24"},
	{"Africa/Cairo", "2026-10-29"},
	{"Asia/Beirut", "2026-03-29"},
	{"America/Santiago", "2026-09-06"},
	{"America/Sao_Paulo", "2018-11-04"},
	{"America/St_Johns", "2008-03-09"}, // at 00:01
	{"America/St_Johns", "2008-11-02"},
	{"Antarctica/Troll", "2026-03-29"},
	{"Antarctica/Troll", "2026-10-25"},
	{"Pacific/Apia", "2011-12-30"},
	{"Asia/Pyongyang", "2018-05-04"}, // half an hour, for good
	{"Europe/Dublin", "2026-10-25"},
	{"Africa/Casablanca", "2026-02-15"},
	{"Europe/Vienna", "2040-12-31"}, // from the rule, not from a table
	{"UTC", "2026-01-01"},
}

// pattern is a random expression that knows by itself what it means.
type pattern struct {
	text          string
	minute, hours []int
	day, weekday  []int // empty for any
}

func newPattern(r *rand.Rand) (p pattern) {
	pick := func(from, to, atMost int) (picked []int) {
		for range 1 + r.IntN(atMost) {
			picked = append(picked, from+r.IntN(to-from+1))
		}
		return picked
	}
	list := func(numbers []int) string {
		if len(numbers) == 0 {
			return "*"
		}
		return strings.Trim(strings.ReplaceAll(fmt.Sprint(numbers), " ", ","), "[]")
	}
	p.minute = pick(0, 59, 3)
	minutes, hours := list(p.minute), "*"
	if step := 2 + r.IntN(28); r.IntN(3) == 0 {
		p.minute, minutes = nil, fmt.Sprint("*/", step)
		for m := 0; m < 60; m += step {
			p.minute = append(p.minute, m)
		}
	}
	for h := range 24 {
		p.hours = append(p.hours, h)
	}
	if r.IntN(3) > 0 {
		p.hours = pick(0, 3, 4)
		hours = list(p.hours)
	}
	if r.IntN(4) == 0 {
		p.day = pick(1, 31, 8)
	}
	if r.IntN(4) == 0 {
		p.weekday = pick(0, 6, 3)
	}
	p.text = strings.Join([]string{minutes, hours, list(p.day), "*", list(p.weekday)}, " ")
	return p
}

func (p pattern) matches(wall time.Time) bool {
	day, weekday := slices.Contains(p.day, wall.Day()), slices.Contains(p.weekday, int(wall.Weekday()))
	is := day || weekday
	switch {
	case len(p.day) == 0 && len(p.weekday) == 0:
		is = true
	case len(p.day) == 0:
		is = weekday
	case len(p.weekday) == 0:
		is = day
	}
	return is && slices.Contains(p.minute, wall.Minute()) && slices.Contains(p.hours, wall.Hour())
}

// meant gives the times of a pattern between two moments by trying every minute.
func (p pattern) meant(zone *time.Location, from, to time.Time) []time.Time {
	wallOf := func(t time.Time) time.Time {
		_, offset := t.In(zone).Zone()
		return t.UTC().Add(time.Duration(offset) * time.Second)
	}
	var found []time.Time
	seen := map[time.Time]bool{} // what the wall has shown
	for t := from.Add(-49 * time.Hour); t.Before(to); t = t.Add(time.Minute) {
		wall := wallOf(t)
		// The minutes that the wall leaves out before this one.
		missing := false
		for left := wallOf(t.Add(-time.Minute)).Add(time.Minute); left.Before(wall); left = left.Add(time.Minute) {
			missing = missing || p.matches(left)
		}
		if missing && len(p.hours) == 24 {
			last := time.Time{}
			if len(found) > 0 {
				last = found[len(found)-1]
			}
			next := t
			for !p.matches(wallOf(next)) {
				next = next.Add(time.Minute)
			}
			missing = next.Sub(last) > time.Hour
		}
		if missing || p.matches(wall) && (len(p.hours) == 24 || !seen[wall]) {
			found = append(found, t)
		}
		seen[wall] = true
	}
	return slices.DeleteFunc(found, func(t time.Time) bool { return !t.After(from) })
}

// TestTimesAreWhatTheyMean compares with what comes of a look at each minute.
func TestTimesAreWhatTheyMean(t *testing.T) {
	t.Parallel()
	const seed = 20261121
	r := rand.New(rand.NewPCG(seed, 1))
	for _, change := range changes {
		zone, err := schedule.Zone(change.zone)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.DateOnly, change.at)
		if err != nil {
			t.Fatal(err)
		}
		for range 6 {
			p := newPattern(r)
			c, err := schedule.Parse(p.text, change.zone)
			if err != nil {
				t.Fatal(err)
			}
			from, to := at.Add(-30*time.Hour+time.Duration(r.IntN(3600))*time.Second).Truncate(time.Minute), at.Add(60*time.Hour)
			var got []time.Time
			for next := c.Next(from); next.Before(to); next = c.Next(next) {
				got = append(got, next)
				if len(got) > 10_000 {
					t.Fatalf("%s in %s does not get on", p.text, change.zone)
				}
			}
			if want := p.meant(zone, from, to); !slices.EqualFunc(got, want, time.Time.Equal) {
				t.Errorf("%s in %s from %s:\n got %v\nwant %v", p.text, change.zone, from.In(zone), local(got, zone), local(want, zone))
			}
		}
	}
}

func local(times []time.Time, zone *time.Location) (texts []string) {
	for _, t := range times {
		texts = append(texts, t.In(zone).Format("2 15:04-0700"))
	}
	return texts
}

func TestZones(t *testing.T) {
	t.Parallel()
	if zone, err := schedule.Zone(""); err != nil || zone != time.UTC {
		t.Errorf("got %v, %v", zone, err)
	}
	for _, name := range []string{"Europe/Vienna", "America/Argentina/Buenos_Aires", "UTC", "Etc/GMT+5", "Asia/Calcutta"} {
		if zone, err := schedule.Zone(name); err != nil || zone.String() != name {
			t.Errorf("%s: got %v, %v", name, zone, err)
		}
	}
}

func FuzzCron(f *testing.F) {
	for _, text := range []string{"*/5 * * * *", "30 2 * * *", "@weekly", "0 0 29 2 *", "0 0 L * FRI#2", "59 23 31 12 7", "0 22-1/3 * * fri-mon", "0 0 30 2 *"} {
		for _, change := range changes {
			at, err := time.Parse(time.DateOnly, change.at)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text, change.zone, at.Unix())
		}
	}
	f.Fuzz(func(t *testing.T, text, zone string, unix int64) {
		c, err := schedule.Parse(text, zone)
		if err != nil {
			var failure *engine.Error
			if !errors.As(err, &failure) || failure.Kind != engine.Invalid || len(failure.Message) > 1000 {
				t.Fatalf("got %v", err)
			}
			return
		}
		after := time.Unix(unix%(1<<33), 0)
		for range 5 {
			next := c.Next(after)
			if !next.After(after) || next.Sub(after) > 13*366*24*time.Hour || next.Nanosecond() != 0 {
				t.Fatalf("after %s comes %s", after.UTC(), next)
			}
			// From wherever one looks before it, it is the next one.
			for _, earlier := range []time.Time{next.Add(-time.Nanosecond), after.Add(next.Sub(after) / 2)} {
				if again := c.Next(earlier); !again.Equal(next) {
					t.Fatalf("after %s comes %s, and after %s %s", after.UTC(), next, earlier.UTC(), again)
				}
			}
			after = next
		}
	})
}

func BenchmarkNext(b *testing.B) {
	for _, c := range []struct{ expression, zone string }{
		{"*/5 * * * *", "UTC"}, {"30 2 * * MON-FRI", "Europe/Vienna"}, {"0 0 29 2 *", "America/New_York"},
	} {
		b.Run(strings.ReplaceAll(c.expression, " ", "_"), func(b *testing.B) {
			cron, err := schedule.Parse(c.expression, c.zone)
			if err != nil {
				b.Fatal(err)
			}
			at := time.Unix(1_800_000_000, 0)
			b.ReportAllocs()
			for b.Loop() {
				at = cron.Next(at)
				if at.Year() > 2100 {
					at = time.Unix(1_800_000_000, 0)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if _, err := schedule.Parse("30 2 * * MON-FRI", "Europe/Vienna"); err != nil {
			b.Fatal(err)
		}
	}
}
