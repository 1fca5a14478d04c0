// Package api is what the engine's HTTP API looks like: the types that go over the
// wire, the one shape of its errors, and a client for it.
//
// The server (package httpapi), weir's command line and its tests share these types,
// so the OpenAPI document, which is made from them, cannot say something else than
// what is sent. All texts and values in them have secrets masked.
//
// The package imports only the standard library.
package api
