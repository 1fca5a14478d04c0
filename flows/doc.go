// Package flows runs flows: Lua scripts that start tasks and other flows. A flow
// talks to the world through an [engine.Host] and reaches nothing else: no file, no
// socket, no clock, no process. What it does depends on its text, its input, the
// seed and the host's replies alone, so a host that repeats its replies gets the
// same calls again.
//
//	program, err := flows.Compile("hello.lua", text)
//	output, err := flows.Run(ctx, program, flows.Config{Host: host, Input: inputs})
//
// # The language
//
// Lua 5.1 with goto, and its base, string, table, math and coroutine libraries. It
// differs from other Luas in this:
//
//   - Reading a variable that nobody assigned is an error with the nearest name.
//   - There is no load, loadstring, dofile, getfenv, setfenv, _G, collectgarbage, os,
//     io or debug. print writes a log line. require(name) loads a module through the
//     host, once for each run (a branch of parallel loads for itself what was not
//     loaded before it began).
//   - pcall and xpcall give any raised value back. The handler of xpcall runs after the
//     stack is unwound, so it may call everything; its second argument is the
//     traceback. Cancellation, limits and defects cannot be caught.
//   - coroutine.yield works in functions and their tail calls; across pcall,
//     metamethods, iterators and callbacks of the library it is an error.
//   - tostring of tables and functions names no address.
//   - math.random and uuid() follow from [Config].Seed, apart for each branch.
//   - A list has at most 1,048,575 elements and a text at most 32 MiB. A coroutine or
//     a branch may pass about 16,000 values at a time, as for unpack.
//
// # Calls
//
// connect(name, overrides, options), task(type, inputs, options) and flow(name,
// inputs, options) give an execution with the fields id, name, type, status, output
// and error and the methods get, wait, cancel and ok. A failed execution raises an
// error value with the fields kind, message, hint, where, traceback, execution, value
// and cause, unless the options say on_error = "return". With wait = false they
// return at once; until it was waited for, an execution's output is nil. The other
// options are timeout, retry = {max_tries, delay, backoff, max_delay}, name and
// idempotency_key. Durations are seconds, or texts such as "90s", "5m", "1.5h", "2d".
//
//   - wait_all{...} gives its list, all ended. wait_any{...} gives the one that ended
//     first, and its index.
//   - parallel{f, ...} runs functions side by side: one at a time is in Lua, the others
//     while the host works. It waits for all of them, then gives the list of what each
//     returned first (null for nothing), or raises the error of the first one in the
//     order of the list that failed.
//   - sleep(duration), sleep_until(time).
//   - retry(f, options) calls f(try) until it raises nothing: 3 tries, 1 s apart and
//     then twice as long each time, unless the options say something else.
//   - defer(f) calls f(error) at the end, the last one first, also after failure,
//     cancellation and limits, within 30 s. The run fails if a deferred function
//     does; all such errors are logged.
//   - output{...} adds to the output; what the flow returns is laid over it.
//   - log.debug, log.info, log.warn, log.error(message, fields); progress(done, total,
//     message).
//   - secret("path#key") gives a handle that may be passed as an input. As a text it
//     is "secret(path#key)".
//
// ask{title = ..., schema = ...} puts a form to a person and waits, for days if need
// be. It gives the answer, a table with a value for each field that was filled in or
// has a default; a field that was left empty is nil. The schema has the fields by
// name, in the order in which they are to be shown:
//
//	local answer = ask{
//	  title = "Deploy to production?",
//	  schema = {
//	    approve = {type = "boolean", required = true, description = "go ahead?"},
//	    color = {enum = {"blue", "green"}, default = "blue"},
//	    note = "string",
//	  },
//	}
//	if answer.approve then ...
//
// A field has a type (string unless said, number, integer, boolean), required (false
// unless said), a default, an enum of the texts that may be chosen, and a
// description; a text alone is its type. A field that is required and boolean must be
// answered with true or false. Without a schema the form has one text that may be
// left empty, answer.answer; with an empty one it has a button only. Who does not
// want to answer cancels the execution. An answer is kept in the execution's history
// like any input, so it is no place for a password.
//
// setting(name) gives a handle on a JSON value that flows share:
//
//   - s:get() gives the value, nil if there is none. s:set(value) replaces it; null
//     and nil take it away. Handles of secrets cannot be stored.
//   - s:lock(timeout) waits until nobody else has the lock, for ever without a
//     timeout and not at all with 0, and gives its fencing number: larger than that of
//     all who had it before, for systems that refuse the smaller one. If the time is
//     up it raises an error of kind timeout. s.fence is the number as long as the lock
//     is held, else nil.
//   - s:unlock() ends the lock, and so does the end of the flow. Locking what one has
//     locked, and unlocking what one has not, are errors.
//
// A lock holds back others who lock, and s:set() of other flows raises an error of kind
// conflict meanwhile; s:get() does not look at it. It is a lease: if one has held it for
// so long that another flow has had it since, s:set() raises that error, too. A lock
// belongs to the branch of parallel that took it. The other branches wait for it as
// other flows do, and when the branch ends it passes to the one that called parallel.
// All handles of one name are alike. A name has at most 128 bytes, and a flow holds at
// most 1,000 locks at a time.
//
// # Values
//
// JSON values arrive as Lua's, with two additions. null is a value that is not nil and
// not false; compare with x == null. Tables remember whether they were a list or an
// object, so that an empty one stays what it was; array{...} and object{...} mark one's
// own tables, and an unmarked empty table is an object. A number that a float64 does not
// hold as it is written arrives as a decimal, which computes exactly (+ - * and
// comparison with other decimals; / to 40 digits). What is no JSON value
// (functions, NaN, cycles, binary text) is refused on its way out, with its path.
//
// json.encode(v, {indent = n}), json.decode(s); yaml.encode, yaml.decode; base64.encode,
// base64.decode; hash.md5, sha1, sha256, sha512(s), hash.hmac(name, key, s); time.now(),
// time.format(t, pattern), time.parse(s), where a time is a number of seconds since
// 1970 and everything is UTC.
//
// # Limits
//
// [Limits] bound instructions, steps of library functions, and memory, by counting; no
// clock is involved. Nesting is bounded, too. A flow that exceeds a limit ends with kind
// limit. What is not bounded by the counts is the time that single instructions take
// on long texts (comparing two texts of 32 MiB takes milliseconds): that is what
// the context is for, which is looked at every 64 instructions. The memory that the
// count allows for is that of the script; replies of the host that were not
// converted yet and their inputs are estimated.
package flows
