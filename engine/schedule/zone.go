package schedule

import (
	_ "embed"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // for machines without time zones of their own

	"github.com/weir-engine/weir/connections/schema"
)

// zones are the names of all time zones, one a line, sorted.
//
//go:embed zones.txt
var zones string

// Zone gives the time zone of an IANA name such as Europe/Vienna; UTC for none. Its
// error is of kind invalid.
func Zone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	known := strings.Fields(zones)
	if _, ok := slices.BinarySearch(known, name); ok {
		location, err := time.LoadLocation(name)
		if err == nil {
			return location, nil
		}
	}
	hint := nearestZone(name, known)
	if hint == "" {
		hint = "a time zone is called like Europe/Vienna or America/New_York; without one it is UTC"
	}
	return nil, invalid(hint, "no such time zone: %q", clipped(name))
}

// nearestZone is a hint for a name that is not one: what it may stand for, or the
// names that have it as their city.
func nearestZone(name string, known []string) string {
	folded := strings.ReplaceAll(strings.TrimSpace(name), " ", "_")
	for _, k := range known {
		if _, city, _ := strings.Cut(k, "/"); strings.EqualFold(k, folded) || strings.EqualFold(city, folded) {
			return schema.DidYouMean(k, []string{k})
		}
	}
	return schema.DidYouMean(folded, known)
}
