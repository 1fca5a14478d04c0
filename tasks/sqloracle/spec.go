package sqloracle

import (
	"time"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/tasks"
)

// The operations. Each is chosen by the input of the same name.
const (
	opExecute     = "execute"
	opFetch       = "fetch"
	opFetchRow    = "fetchrow"
	opFetchVal    = "fetchval"
	opCall        = "call"
	opBatch       = "batch"
	opTransaction = "transaction"
)

// What inputs are set to unless they are given.
const (
	defaultPort      = 1521
	defaultTotal     = 30 * time.Second
	defaultConnect   = 10 * time.Second
	defaultMaxRows   = 10_000
	defaultFetchSize = 500
	defaultBatchSize = 1000
	defaultMaxLOB    = 16 << 20
)

// Limits that no input raises.
const (
	inlineLimit = 16 << 20  // bytes of rows that an output may hold
	answerLimit = 512 << 20 // bytes that one answer of a server may have
)

func spec() tasks.Spec {
	var fields []schema.Field
	fields = append(fields, operationFields()...)
	fields = append(fields, resultFields()...)
	fields = append(fields, targetFields()...)
	fields = append(fields, accessFields()...)
	fields = append(fields, securityFields()...)
	fields = append(fields, sessionFields()...)
	return tasks.Spec{
		Type: "SQLORACLE",
		Doc: `Runs SQL and PL/SQL in an Oracle database, from 11.2 on, without Oracle's client software.

A statement is sent once: where its answer is lost, the error says that its fate
is not known. Numbers are exact, and NULL is an empty text as Oracle has it.`,
		Inputs: schema.Object{
			Fields: fields,
			Conflicts: [][]string{
				{opExecute, opFetch, opFetchRow, opFetchVal, opCall, opBatch, opTransaction},
				{"service_name", "sid", "descriptor"},
				{"host", "descriptor"}, {"host", "hosts"}, {"hosts", "descriptor"},
				{"rows", "rows_path"},
			},
		},
		Operations: operations(),
	}
}

func operationFields() []schema.Field {
	return []schema.Field{
		{Name: opExecute, Type: schema.String, Multiline: true,
			Doc:      "Any one statement: a query gives its rows, anything else the number of rows it changed. No semicolon at the end, except of a PL/SQL block.",
			Examples: []string{"SELECT * FROM v$version", "UPDATE emp SET sal = sal * :factor WHERE deptno = :dept"}},
		{Name: opFetch, Type: schema.String, Multiline: true,
			Doc: "A query whose rows are wanted."},
		{Name: opFetchRow, Type: schema.String, Multiline: true,
			Doc: "A query whose first row is wanted."},
		{Name: opFetchVal, Type: schema.String, Multiline: true,
			Doc: "A query of which the first column of the first row is wanted."},
		{Name: opCall, Type: schema.String, Multiline: true,
			Doc:      "A procedure with its arguments, or a PL/SQL block. Values come back through OUT parameters and ref cursors: see `params`.",
			Examples: []string{"payroll.raise(:emp, :percent, :new_salary)"}},
		{Name: opBatch, Type: schema.String, Multiline: true,
			Doc:      "A statement that is executed for each of `rows`, or for each row of `rows_path`, many rows at a time.",
			Examples: []string{"INSERT INTO emp (id, name) VALUES (:id, :name)"}},
		{Name: opTransaction, Type: schema.List, Elem: schema.Any,
			Doc: "Statements that are carried out together or not at all: each a text, or a mapping with `sql` and `params`."},
		{Name: "params", Type: schema.Any,
			Doc: "Values for the statement's placeholders: a list in the order of their appearance, or a mapping by name. A value is a text, a number, true or false (1 or 0), or null; " +
				"or a mapping with `type` (number, string, date, timestamp, timestamp_tz, raw, clob, blob) and `value`, where a raw value is in hex, that of a blob in base64, or in the file named by `file`. " +
				"A mapping with `out` (number, string, date, timestamp, timestamp_tz, raw, clob, blob, cursor) is an OUT parameter, with `size` bytes of room for a string or raw, and with `value` too it is IN OUT. " +
				"In PL/SQL, a `value` that is a list makes an index-by table of its `type`, and `array` an OUT parameter of one, with room for so many elements."},
		{Name: "rows", Type: schema.List, Elem: schema.Any,
			Doc: "What batch executes its statement with: lists or mappings, as `params`. The values of a column are of one type, or null."},
		{Name: "rows_path", Type: schema.String, Public: true,
			Doc: "A file in the files directory with the rows of batch: CSV with the placeholders' names in its first line (.csv), or one JSON object or array a line. The values of CSV are texts, and empty ones null: convert them in the statement (TO_DATE, HEXTORAW)."},
		{Name: "batch_size", Type: schema.Int, Default: int64(defaultBatchSize),
			Doc: "How many rows batch sends at a time."},
		{Name: "on_row_error", Type: schema.String, Default: "rollback", Enum: []string{"rollback", "keep"},
			Doc: "What becomes of a batch in which rows fail: `rollback` undoes all of it, `keep` commits the others and lists the failed ones in the output."},
	}
}

func resultFields() []schema.Field {
	return []schema.Field{
		{Name: "max_rows", Type: schema.Int,
			Doc: "How many rows are fetched at most. Without it, 10000 into the output (and `truncated` tells if there are more), and all into a file."},
		{Name: "file_path", Type: schema.String, Public: true,
			Doc: "A file in the files directory to write the rows into instead of the output, in any number. It is replaced when all of them are there."},
		{Name: "file_format", Type: schema.String, Default: "auto", Enum: []string{"auto", "ndjson", "csv"},
			Doc: "How rows are written: one JSON object a line, or CSV with a line of names. `auto` goes by the ending of `file_path`, .csv or anything else."},
		{Name: "max_lob_size", Type: schema.Int, Default: int64(defaultMaxLOB),
			Doc: "The most bytes that one value may have. A larger one is an error."},
		{Name: "fetch_size", Type: schema.Int, Default: int64(defaultFetchSize),
			Doc: "How many rows are fetched at a time; they are in memory together. Lower it for rows with large LOBs."},
	}
}

func targetFields() []schema.Field {
	return []schema.Field{
		{Name: "host", Type: schema.String, Public: true, Destination: true,
			Doc: "The server's name or address.", Examples: []string{"my-oracle-server"}},
		{Name: "port", Type: schema.Int, Default: int64(defaultPort), Public: true, Destination: true,
			Doc: "The port of its listener."},
		{Name: "hosts", Type: schema.List, Elem: schema.String, Public: true, Destination: true,
			Doc: "Several servers instead of `host`, each with a port or not. They are tried in this order until one takes the connection.", Examples: []string{"db1:1521"}},
		{Name: "service_name", Type: schema.String, Public: true, Destination: true,
			Doc: "The service to connect to.", Examples: []string{"xe"}},
		{Name: "sid", Type: schema.String, Public: true, Destination: true,
			Doc: "The instance to connect to, where there is no service name."},
		{Name: "descriptor", Type: schema.String, Multiline: true, Public: true, Destination: true,
			Doc: "A whole connect descriptor instead of host and service, as in tnsnames.ora.", Examples: []string{"(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=db)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=xe)))"}},
	}
}

func accessFields() []schema.Field {
	return []schema.Field{
		{Name: "user", Type: schema.String, Public: true,
			Doc: "The user to log in as."},
		{Name: "password", Type: schema.String, Sensitive: true, PairedWith: "user",
			Doc: "The user's password."},
		{Name: "proxy_client", Type: schema.String, Public: true,
			Doc: "The user to become after logging in as `user`, who must have been granted that (CONNECT THROUGH)."},
		{Name: "privilege", Type: schema.String, Public: true,
			Enum: []string{"SYSDBA", "SYSOPER", "SYSASM", "SYSBACKUP", "SYSDG", "SYSKM", "SYSRAC"},
			Doc:  "An administrative privilege to connect with."},
	}
}

func securityFields() []schema.Field {
	return []schema.Field{
		{Name: "tls", Type: schema.Bool, Default: false, Public: true, Destination: true,
			Doc: "Whether to connect with TLS (TCPS). A descriptor says it itself."},
		{Name: "tls_verify", Type: schema.Bool, Default: true, Destination: true,
			Doc: "Whether the server's certificate is checked. Without TLS, or without this, the server does not prove who it is."},
		{Name: "tls_server_name", Type: schema.String, Public: true, Destination: true,
			Doc: "The name that the server's certificate is for, if it is not the host's."},
		{Name: "ca_cert", Type: schema.String, Multiline: true, Public: true, Destination: true,
			Doc: "The certificate authorities to trust, in PEM format, instead of the system's."},
		{Name: "wallet", Type: schema.String, Sensitive: true, Multiline: true, Destination: true,
			Doc: "A wallet: certificates to trust, and perhaps a certificate and key to show to the server. It is the text of an ewallet.pem, or a cwallet.sso or ewallet.p12 in base64. No wallet is read from disk."},
		{Name: "wallet_password", Type: schema.String, Sensitive: true,
			Doc: "What opens the wallet, if it is an ewallet.p12, or the private key of an ewallet.pem. A cwallet.sso needs none."},
		{Name: "encryption", Type: schema.String, Default: "accepted", Enum: []string{"accepted", "rejected", "requested", "required"},
			Destination: true, Doc: "Native network encryption, if TLS is not used. The server chooses how strong it is, and does not prove who it is: TLS is better."},
		{Name: "integrity", Type: schema.String, Default: "accepted", Enum: []string{"accepted", "rejected", "requested", "required"},
			Destination: true, Doc: "Native checksums, if TLS is not used."},
	}
}

func sessionFields() []schema.Field {
	return []schema.Field{
		{Name: "autocommit", Type: schema.Bool, Default: true,
			Doc: "Whether each statement commits itself. Otherwise the task is one transaction, committed by a call of its own once everything has succeeded."},
		{Name: "isolation_level", Type: schema.String, Enum: []string{"read_committed", "serializable", "read_only"},
			Doc: "Begins the task's transaction with it; autocommit is off then."},
		{Name: "session", Type: schema.Map, Elem: schema.String,
			Doc: "Parameters that are set for the session (ALTER SESSION SET), such as CURRENT_SCHEMA or NLS_DATE_FORMAT."},
		{Name: "lob_fetch", Type: schema.String, Default: "inline", Enum: []string{"inline", "stream"},
			Doc: "Whether LOBs come with their rows or each by calls of its own. Some servers of version 19 fail with ORA-03120 unless it is `stream`."},
		{Name: "connect_timeout", Type: schema.Duration, Default: defaultConnect,
			Doc: "How long connecting and logging in may take."},
		{Name: "total_timeout", Type: schema.Duration, Default: defaultTotal,
			Doc: "How long the whole task may take; 0s is as long as its execution lets it."},
	}
}

func operations() []tasks.Operation {
	result := []string{"params", "max_rows", "file_path", "file_format", "max_lob_size", "fetch_size"}
	change := []string{"autocommit", "isolation_level"}
	return []tasks.Operation{
		{Name: opExecute, Inputs: append(append([]string{}, result...), change...), Output: executeOutput(),
			Doc: "Executes a statement."},
		{Name: opFetch, Idempotent: true, Inputs: result, Output: rowsOutput(),
			Doc: "Gives the rows of a query."},
		{Name: opFetchRow, Idempotent: true, Inputs: []string{"params", "max_lob_size"}, Output: rowOutput(),
			Doc: "Gives the first row of a query."},
		{Name: opFetchVal, Idempotent: true, Inputs: []string{"params", "max_lob_size"}, Output: valueOutput(),
			Doc: "Gives one value."},
		{Name: opCall, Inputs: append([]string{"params", "max_rows", "max_lob_size"}, change...), Output: callOutput(),
			Doc: "Calls a procedure, or executes a PL/SQL block."},
		{Name: opBatch, Inputs: append([]string{"rows", "rows_path", "batch_size", "on_row_error"}, change...), Output: batchOutput(),
			Doc: "Executes a statement for many rows, all of them in one transaction."},
		{Name: opTransaction, Inputs: []string{"isolation_level", "max_rows"}, Output: transactionOutput(),
			Doc: "Executes several statements in one transaction."},
	}
}

const columnsDoc = "Each column's `name`, `type`, `nullable`, for numbers `precision` and `scale`, for values in text `encoding` (hex, base64), " +
	"for dates `zone` (none, value, session)."

func rowsOutput() []tasks.OutputField {
	return []tasks.OutputField{
		{Name: "result", Type: schema.List, Doc: "The rows: mappings of column names to values. Left out with file_path."},
		{Name: "columns", Type: schema.List, Doc: columnsDoc},
		{Name: "row_count", Type: schema.Int, Doc: "How many rows were fetched."},
		{Name: "truncated", Type: schema.Bool, Doc: "Whether there are more rows than max_rows."},
		{Name: "file", Type: schema.String, Doc: "The file that the rows were written to; left out without file_path."},
		{Name: "size", Type: schema.Int, Doc: "Its size in bytes."},
	}
}

func executeOutput() []tasks.OutputField {
	return append(rowsOutput(), tasks.OutputField{
		Name: "rows_affected", Type: schema.Int, Doc: "How many rows a statement has changed that is no query."})
}

func rowOutput() []tasks.OutputField {
	return []tasks.OutputField{
		{Name: "result", Type: schema.Map, Doc: "The row, a mapping of column names to values; null if there is none."},
		{Name: "columns", Type: schema.List, Doc: columnsDoc},
	}
}

func valueOutput() []tasks.OutputField {
	return []tasks.OutputField{
		{Name: "result", Type: schema.Any, Doc: "The value; null if there is no row."},
		{Name: "columns", Type: schema.List, Doc: columnsDoc},
	}
}

func callOutput() []tasks.OutputField {
	return []tasks.OutputField{
		{Name: "result", Type: schema.Any, Doc: "The values of OUT parameters: by name, or by position if params is a list. A cursor is a list of rows."},
		{Name: "rows_affected", Type: schema.Int, Doc: "How many rows the block says that it has changed."},
		{Name: "truncated", Type: schema.Bool, Doc: "Whether a cursor has more rows than max_rows."},
	}
}

func batchOutput() []tasks.OutputField {
	return []tasks.OutputField{
		{Name: "row_count", Type: schema.Int, Doc: "How many rows were sent."},
		{Name: "rows_affected", Type: schema.Int, Doc: "How many rows of the database have changed."},
		{Name: "errors", Type: schema.List, Doc: "The rows that failed, with on_row_error keep: `row` (from 1), `code` and `message`."},
	}
}

func transactionOutput() []tasks.OutputField {
	return []tasks.OutputField{
		{Name: "result", Type: schema.List, Doc: "What each statement gave: `rows_affected`, or `result` and `columns` of a query."},
		{Name: "rows_affected", Type: schema.Int, Doc: "How many rows all of them have changed."},
	}
}
