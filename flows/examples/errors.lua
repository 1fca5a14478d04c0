-- Handles failures. A task that fails raises an error with a kind, a message and a hint; pcall catches it.
-- With on_error = "return" nothing is raised, and the execution says how it ended.
--
--   weir run flows/examples/errors.lua --connections flows/examples/connections

local ok, err = pcall(connect, "library", { ref = "no-such-branch" })
assert(not ok)

local unreachable = task("FAKE", { fail_times = -1, fail_kind = "unavailable" }, { on_error = "return" })

return {
  raised = { kind = err.kind, message = err.message, hint = err.hint },
  returned = { ok = unreachable:ok(), status = unreachable.status, kind = unreachable.error.kind },
}
