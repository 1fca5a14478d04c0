// Package trace sends what the engine does to an OpenTelemetry collector, by OTLP
// over HTTP.
//
// A tree of executions is one trace. It has a span for each execution of a flow, for
// each step that runs a task, and for each of its tries if there were more than one.
// Spans are made from what was committed to the store: they tell what is true, and
// the engine does not know of them. Ids follow from the ids of executions, and what
// an engine has not seen itself is read from the journal, so that a tree that lives
// over restarts is one trace. Requests of the API have spans as well; an execution
// that a request starts belongs to its trace, which is the caller's if it sent a
// traceparent.
//
// Nothing of values is sent: no inputs, outputs, log lines and texts of errors, only
// names of flows, of connections that were found and of task types, times, numbers
// and kinds of errors.
//
// Spans are called "flow NAME", "connect CONNECTION", "task TYPE", "try" and, for
// requests, "METHOD ROUTE". Their attributes are weir.execution.id, weir.execution.kind,
// weir.status and error.type, the kind of an error; of flows weir.flow and
// weir.execution.retry, which counts how often it went on after it had failed; of steps
// weir.call, the number of the call in its flow, weir.task.type, weir.connection and
// weir.tries; of tries weir.try; of requests weir.request.id, which the log has, and
// http.request.method, http.route and http.response.status_code.
//
// A collector that is down, slow or refuses never holds anybody up: spans that find no
// room are dropped, and the log says so once in a while.
package trace
