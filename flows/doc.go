// Package flows runs flows: sandboxed Lua scripts that start tasks and other
// flows through an [engine.Host] and reach nothing else.
package flows
