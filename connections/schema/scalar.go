package schema

import (
	"encoding/json"
	"strconv"
	"strings"
)

// resolvePlain gives the value of an unquoted scalar by the YAML 1.2 core
// schema, with three differences that keep text what it was: numbers with a
// leading zero are text (0123 is a code, not 83), and so are .inf and .nan,
// which JSON does not have; whole numbers beyond int64 stay exact as json.Number.
func resolvePlain(text string) any {
	switch text {
	case "", "~", "null", "Null", "NULL":
		return nil
	case "true", "True", "TRUE":
		return true
	case "false", "False", "FALSE":
		return false
	}
	if c := text[0]; c != '+' && c != '-' && c != '.' && (c < '0' || c > '9') {
		return text
	}
	if n, ok := resolveInt(text); ok {
		return n
	}
	if f, ok := resolveFloat(text); ok {
		return f
	}
	return text
}

func resolveInt(text string) (any, bool) {
	if digits, ok := strings.CutPrefix(text, "0x"); ok {
		n, err := strconv.ParseUint(digits, 16, 63)
		return int64(n), err == nil //nolint:gosec // 63 bits fit
	}
	if digits, ok := strings.CutPrefix(text, "0o"); ok {
		n, err := strconv.ParseUint(digits, 8, 63)
		return int64(n), err == nil //nolint:gosec // 63 bits fit
	}
	digits := strings.TrimLeft(text[:1], "+-") + text[1:]
	if !isDigits(digits) || leadingZero(digits) {
		return nil, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return json.Number(strings.TrimPrefix(text, "+")), true
	}
	return n, true
}

func resolveFloat(text string) (float64, bool) {
	body := strings.TrimLeft(text[:1], "+-") + text[1:]
	mantissa, exponent, hasExponent := strings.Cut(strings.ToLower(body), "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if whole+fraction == "" || !isDigits(whole+fraction) || leadingZero(whole) {
		return 0, false
	}
	if hasExponent && !isDigits(strings.TrimLeft(exponent[:min(1, len(exponent))], "+-")+exponent[min(1, len(exponent)):]) {
		return 0, false
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil // out of range is an error, and stays text
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func leadingZero(digits string) bool { return len(digits) > 1 && digits[0] == '0' }
