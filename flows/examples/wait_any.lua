-- Starts two tasks, takes the result of whichever ends first, and cancels the other.
--
--   weir run flows/examples/wait_any.lua

local mirrors = {
  task("FAKE", { payload = "slow mirror", delay = "1h" }, { wait = false, name = "slow" }),
  task("FAKE", { payload = "fast mirror" }, { wait = false, name = "fast" }),
}

local first, place = wait_any(mirrors)
local other = mirrors[3 - place]:cancel()

return { winner = first.output.inputs.payload, other = other.status }
