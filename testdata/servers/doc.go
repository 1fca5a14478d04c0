// Package servers starts the real servers that tests talk to: no mocks.
//
// A server is built once per machine from the nested module beside this package,
// with exact pins, into the user's cache directory; a lock keeps packages that are
// tested in parallel from building it twice. It listens on a free loopback port.
// One server of a kind is shared by all tests of a test binary and ends with it,
// however it ends; each test makes names of its own there. A test that breaks or
// restarts its server starts one for itself.
//
// Nothing here ever skips a test: where a server cannot be built or started, the
// test fails and says why.
package servers
