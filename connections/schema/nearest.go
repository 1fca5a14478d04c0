package schema

import (
	"slices"
	"strconv"
	"strings"
)

// Nearest gives the known name that a mistyped one most likely meant, "" if none
// is near. Case, and - for _, count little.
func Nearest(name string, known []string) string {
	const tooLong = 64 // a name this long is no typing mistake
	if name == "" || len(name) > tooLong {
		return ""
	}
	folded := fold(name)
	best, bestDistance := "", 1+max(1, len(folded)/3)
	for _, k := range known {
		if len(k) > tooLong {
			continue
		}
		if d := distance(folded, fold(k)); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	if best != "" {
		return best
	}
	return abbreviated(folded, known)
}

// DidYouMean gives `did you mean "x"?` for the nearest known name, "" if none is.
func DidYouMean(name string, known []string) string {
	if near := Nearest(name, known); near != "" {
		return "did you mean " + strconv.Quote(near) + "?"
	}
	return ""
}

func fold(name string) string {
	return strings.ReplaceAll(strings.ToLower(name), "-", "_")
}

// abbreviated finds the only known name of which name is one word or its start:
// "url" for "repository_url", "repo" as well.
func abbreviated(name string, known []string) string {
	found := ""
	for _, k := range known {
		if len(name) < 3 || !strings.Contains("_"+fold(k), "_"+name) {
			continue
		}
		if found != "" {
			return ""
		}
		found = k
	}
	return found
}

// distance is the Damerau-Levenshtein distance in its usual restricted form:
// insert, delete, replace, and swap of two neighbours cost 1 each.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}

// names gives the names of the fields.
func (o Object) names() []string {
	names := make([]string, len(o.Fields))
	for i := range o.Fields {
		names[i] = o.Fields[i].Name
	}
	slices.Sort(names)
	return names
}
