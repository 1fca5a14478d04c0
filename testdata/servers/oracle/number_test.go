package oracle

import (
	"bytes"
	"encoding/hex"
	"math"
	"testing"
	"time"
)

// The bytes are those that Oracle's manuals and DUMP() show.
func TestNumbers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0": "80", "1": "c102", "-1": "3e6466", "10": "c10b", "100": "c202", "123.45": "c202182e", "-123.45": "3d644e3866", "0.5": "c033", "0.01": "c002",
		"0.001": "bf0b", "1000000": "c402", "99": "c164", "-99": "3e0266",
		"12345678901234567890123456789012345678": "d30d23394f5b0d23394f5b0d23394f5b0d23394f",
	} {
		b, err := encodeNumber(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		// The last one has more digits than one cares to write down.
		if got := hex.EncodeToString(b); got != want && len(text) < 20 {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
		if back, err := decodeNumber(b); err != nil || back != text {
			t.Errorf("%s came back as %s, %v", text, back, err)
		}
	}
	for _, text := range []string{"", "x", "1e", "1e200", "1-2"} {
		if b, err := encodeNumber(text); err == nil {
			t.Errorf("%q is taken for %x", text, b)
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	when := time.Date(1998, 1, 15, 13, 7, 9, 500_000_000, time.UTC)
	if got := hex.EncodeToString(encodeDate(when)); got != "77c6010f0e080a" {
		t.Errorf("a date: got %s", got)
	}
	if got := hex.EncodeToString(encodeTimestamp(when)); got != "77c6010f0e080a1dcd6500" {
		t.Errorf("a timestamp: got %s", got)
	}
	zoned := when.In(time.FixedZone("", -(3*3600 + 1800)))
	if got := hex.EncodeToString(encodeTimestampTZ(zoned)); got != "77c6010f0e080a1dcd6500111e" {
		t.Errorf("a timestamp with a zone: got %s", got)
	}
	back, err := decodeTime(encodeTimestampTZ(zoned))
	if err != nil || !back.Equal(zoned) || back.Format(time.RFC3339Nano) != zoned.Format(time.RFC3339Nano) {
		t.Errorf("it came back as %v, %v", back, err)
	}
}

func TestFloatsSortAsTheirBytes(t *testing.T) {
	t.Parallel()
	last := []byte(nil)
	for _, v := range []float64{math.Inf(-1), -1e300, -1, -0.5, 0, 0.5, 1, 1e300, math.Inf(1)} {
		b := encodeFloat(v, 8)
		if bytes.Compare(last, b) >= 0 {
			t.Errorf("%v does not sort behind the one before", v)
		}
		if back, err := decodeFloat(b); err != nil || back != v {
			t.Errorf("%v came back as %v, %v", v, back, err)
		}
		last = b
	}
}

func TestUniversalIntegersAndChunks(t *testing.T) {
	t.Parallel()
	for _, big := range []bool{true, false} {
		w := &writer{bigChunks: big}
		w.ub(0, 1, 255, 256, -1, -127, math.MaxInt64)
		long := bytes.Repeat([]byte("0123456789"), 10_000)
		w.clr(long)
		w.clr(nil)
		w.dlc("text")
		if got := hex.EncodeToString(w.b[:12]); got != "00010101ff0201008101817f" {
			t.Errorf("got %s", got)
		}
		at := 0
		r := &reader{bigChunks: big, next: func() ([]byte, error) {
			piece := w.b[at:min(at+7, len(w.b))]
			at += len(piece)
			if len(piece) == 0 {
				return nil, errGone
			}
			return piece, nil
		}}
		for _, want := range []int{0, 1, 255, 256, -1, -127, math.MaxInt64} {
			if got := r.ub(); got != want {
				t.Errorf("got %d, want %d", got, want)
			}
		}
		if !bytes.Equal(r.clr(), long) || r.clr() != nil || string(r.dlc()) != "text" || r.err != nil {
			t.Errorf("bytes came back otherwise: %v", r.err)
		}
		if r.u8(); r.err == nil {
			t.Error("the end was not noticed")
		}
	}
}
