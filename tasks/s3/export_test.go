package s3

// WithCopyLimits gives a Config with which larger objects than limit are copied in
// parts of that size.
func WithCopyLimits(limit, part int64) Config { return Config{copyLimit: limit, copyPart: part} }
