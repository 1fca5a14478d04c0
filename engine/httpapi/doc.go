// Package httpapi serves the engine's HTTP API: executions, flows, connections and
// all else that a caller may see and do, described at /openapi.json.
//
// Every path but a few needs a token, so that a new route is closed until it was
// opened; see [Config]. What a caller does is done by the [Services] that were made
// for this caller, which reach nothing that is somebody else's: what is not theirs
// answers as what is not there. The package itself knows no store and no rules.
//
// Errors have one shape, [api.Error], also those of the router and after a panic.
// Tokens are read from the header Authorization only; neither they, nor query values,
// nor bodies are ever logged.
package httpapi
