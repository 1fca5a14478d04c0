package s3

import "time"

// WithCopyLimits gives a Config with which larger objects than limit are copied in
// parts of that size.
func WithCopyLimits(limit, part int64) Config { return Config{copyLimit: limit, copyPart: part} }

// PartSizeFor is the size of the parts of an object.
func PartSizeFor(size, wanted int64) int64 { return partSizeFor(size, wanted) }

// Impatient gives a Config with which requests are tried again after a moment.
func Impatient(c Config) Config {
	c.longestPause = time.Millisecond
	return c
}
