package oracle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// encodeNumber gives the bytes of an Oracle NUMBER: base 100, at most 20 digits
// (39 or 40 decimal ones), any text that strconv would take for a number.
func encodeNumber(text string) ([]byte, error) {
	mantissa, exponent, scientific := strings.Cut(strings.ToLower(text), "e")
	shift := 0
	if scientific {
		var err error
		if shift, err = strconv.Atoi(exponent); err != nil {
			return nil, fmt.Errorf("number %q: %w", text, err)
		}
	}
	mantissa, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if strings.Trim(digits, "0123456789") != "" || digits == "" {
		return nil, fmt.Errorf("number %q", text)
	}
	point := len(whole) + shift // where the decimal point stands in digits
	trimmed := strings.TrimLeft(digits, "0")
	point -= len(digits) - len(trimmed)
	digits = strings.TrimRight(trimmed, "0")
	if digits == "" {
		return []byte{0x80}, nil
	}
	if point&1 != 0 {
		digits, point = "0"+digits, point+1
	}
	if len(digits)&1 != 0 {
		digits += "0"
	}
	if len(digits) > 40 || point > 126 || point < -128 {
		return nil, fmt.Errorf("number %q is out of range", text)
	}
	return pairs(digits, point/2, negative), nil
}

func pairs(digits string, exponent int, negative bool) []byte {
	first := byte(0xC0 + exponent)
	if negative {
		first = ^first
	}
	b := []byte{first}
	for i := 0; i < len(digits); i += 2 {
		v := (digits[i]-'0')*10 + digits[i+1] - '0'
		if negative {
			b = append(b, 101-v)
		} else {
			b = append(b, v+1)
		}
	}
	if negative && len(b) < 21 {
		b = append(b, 102)
	}
	return b
}

// decodeNumber gives the decimal text of an Oracle NUMBER.
func decodeNumber(b []byte) (string, error) {
	if len(b) == 0 || len(b) > 22 {
		return "", errors.New("a number without digits, or with too many")
	}
	if len(b) == 1 && b[0] == 0x80 {
		return "0", nil
	}
	negative := b[0]&0x80 == 0
	first := b[0]
	if negative {
		first = ^first
		if b[len(b)-1] == 102 {
			b = b[:len(b)-1]
		}
	}
	var digits strings.Builder
	for _, c := range b[1:] {
		v := int(c) - 1
		if negative {
			v = 101 - int(c)
		}
		if v < 0 || v > 99 {
			return "", fmt.Errorf("a number with the digit %d", v)
		}
		fmt.Fprintf(&digits, "%02d", v)
	}
	return decimal(digits.String(), (int(first)-0xC0)*2, negative), nil
}

// decimal writes digits with the point after so many of them.
func decimal(digits string, point int, negative bool) string {
	if point > len(digits) {
		digits += strings.Repeat("0", point-len(digits))
	}
	if point < 0 {
		digits, point = strings.Repeat("0", -point)+digits, 0
	}
	whole, fraction := strings.TrimLeft(digits[:point], "0"), strings.TrimRight(digits[point:], "0")
	if whole == "" {
		whole = "0"
	}
	if fraction != "" {
		whole += "." + fraction
	}
	if negative {
		whole = "-" + whole
	}
	return whole
}

// encodeDate gives the 7 bytes of a DATE, in the time's own zone.
func encodeDate(t time.Time) []byte {
	return []byte{
		byte(t.Year()/100 + 100), byte(t.Year()%100 + 100), byte(t.Month()), byte(t.Day()),
		byte(t.Hour() + 1), byte(t.Minute() + 1), byte(t.Second() + 1),
	}
}

// encodeTimestamp gives the bytes of a TIMESTAMP, in the time's own zone.
func encodeTimestamp(t time.Time) []byte {
	b := encodeDate(t)
	if t.Nanosecond() == 0 {
		return b
	}
	return binary.BigEndian.AppendUint32(b, uint32(t.Nanosecond())) //nolint:gosec // under a second
}

// encodeTimestampTZ gives the 13 bytes of a TIMESTAMP WITH TIME ZONE: UTC, then
// the offset.
func encodeTimestampTZ(t time.Time) []byte {
	_, offset := t.Zone()
	utc := t.UTC()
	b := binary.BigEndian.AppendUint32(encodeDate(utc), uint32(utc.Nanosecond())) //nolint:gosec // under a second
	return append(b, byte(offset/3600+20), byte(offset/60%60+60))
}

// decodeTime reads any of the three; without an offset the time is in UTC.
func decodeTime(b []byte) (time.Time, error) {
	if len(b) < 7 {
		return time.Time{}, fmt.Errorf("a date of %d bytes", len(b))
	}
	nanos := 0
	if len(b) >= 11 {
		nanos = int(binary.BigEndian.Uint32(b[7:]))
	}
	t := time.Date((int(b[0])-100)*100+int(b[1])-100, time.Month(b[2]), int(b[3]), int(b[4])-1, int(b[5])-1, int(b[6])-1, nanos, time.UTC)
	if len(b) >= 13 && b[11]&0x80 == 0 {
		offset := (int(b[11])-20)*3600 + (int(b[12])-60)*60
		t = t.In(time.FixedZone("", offset))
	}
	return t, nil
}

// encodeFloat gives the bytes of a BINARY_DOUBLE (8) or BINARY_FLOAT (4), which
// sort as the numbers do.
func encodeFloat(v float64, size int) []byte {
	var b []byte
	if size == 4 {
		b = binary.BigEndian.AppendUint32(nil, math.Float32bits(float32(v)))
	} else {
		b = binary.BigEndian.AppendUint64(nil, math.Float64bits(v))
	}
	if b[0]&0x80 == 0 {
		b[0] |= 0x80
		return b
	}
	for i := range b {
		b[i] = ^b[i]
	}
	return b
}

func decodeFloat(b []byte) (float64, error) {
	c := append([]byte{}, b...)
	if len(c) != 4 && len(c) != 8 {
		return 0, fmt.Errorf("a float of %d bytes", len(c))
	}
	if c[0]&0x80 != 0 {
		c[0] &= 0x7F
	} else {
		for i := range c {
			c[i] = ^c[i]
		}
	}
	if len(c) == 4 {
		return float64(math.Float32frombits(binary.BigEndian.Uint32(c))), nil
	}
	return math.Float64frombits(binary.BigEndian.Uint64(c)), nil
}
