// Package oracle is the protocol test server for SQLORACLE: it speaks Oracle Net
// (TNS and TTC, as far as version 19c) over TCP, so that a driver can be tested
// where no Oracle database can be had.
//
// It is not a database. It logs clients in with the real key exchange, and
// answers statements as a table of cases says, with rows, errors, delays, drops
// and deafness; it knows nothing of SQL, locking, types being converted or dates
// being formatted. What passes here was tested against this server and not
// against Oracle Database. Two clients that Oracle wrote keep it honest about the
// protocol: see package tasks/sqloracle and its suite with the build tag
// oracleclients.
//
// Files, from the wire upwards: packet.go (TNS packets), wire.go (how numbers,
// texts and rows are written), number.go, encrypt.go, login.go, session.go (one client),
// execute.go and reply.go (statements and answers), lob.go, script.go (the table
// of cases), server.go.
package oracle
