package trace

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"strings"

	"github.com/weir-engine/weir/engine"
)

type (
	traceID [16]byte
	spanID  [8]byte
)

// link is a place in a trace: what a traceparent says.
type link struct {
	trace   traceID
	span    spanID
	sampled bool
}

// parseLink reads a traceparent as W3C Trace Context has it, of version 00 or what a
// later one has in common with it.
func parseLink(text string) (l link, ok bool) {
	const length = 55
	if len(text) < length || text[:2] == "ff" || (len(text) > length && (text[:2] == "00" || text[length] != '-')) {
		return link{}, false
	}
	parts := strings.SplitN(text[:length], "-", 4)
	if len(parts) != 4 || len(parts[0]) != 2 || len(parts[1]) != 32 || len(parts[2]) != 16 || text != strings.ToLower(text) {
		return link{}, false
	}
	var version, flags [1]byte
	for i, to := range [][]byte{version[:], l.trace[:], l.span[:], flags[:]} {
		if _, err := hex.Decode(to, []byte(parts[i])); err != nil {
			return link{}, false
		}
	}
	l.sampled = flags[0]&1 == 1
	return l, l.trace != traceID{} && l.span != spanID{}
}

// String gives the traceparent.
func (l link) String() string {
	flags := "-00"
	if l.sampled {
		flags = "-01"
	}
	return "00-" + hex.EncodeToString(l.trace[:]) + "-" + hex.EncodeToString(l.span[:]) + flags
}

// traceOf is the trace of a tree of executions that belongs to no other.
func traceOf(root engine.ID) (id traceID) {
	sum := sha256.Sum256([]byte("trace " + root))
	copy(id[:], sum[:])
	return id
}

// spanOf is the span of an execution or a step. One that goes on after it had failed
// has another span each time.
func spanOf(id engine.ID, retries int) (span spanID) {
	text := "span " + string(id)
	if retries > 0 {
		text += " " + strconv.Itoa(retries)
	}
	sum := sha256.Sum256([]byte(text))
	copy(span[:], sum[:])
	return span
}

// sampler decides which traces are sent.
type sampler struct {
	ratio  float64 // of traces that begin here
	follow bool    // what a caller decided counts for its trace
}

// samples decides on a trace, with what the caller said of it; nil if nobody did.
func (s sampler) samples(trace traceID, caller *link) bool {
	if caller != nil && s.follow {
		return caller.sampled
	}
	// As the samplers of OpenTelemetry do it, so that all agree on a trace.
	return binary.BigEndian.Uint64(trace[8:])>>1 < uint64(s.ratio*(math.MaxInt64+1.0))
}
