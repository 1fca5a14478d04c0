-- Asks a person before it goes on, and waits for the answer, for days if need be; meanwhile it takes no memory.
-- `weir execution answer` gives the answer, such as approve=true note="looks good". A field that was left empty
-- is nil.
--
--   weir execution start flows/examples/ask.lua

local answer = ask({
  title = "Publish version " .. (input.version or "1.4.0") .. "?",
  schema = {
    approve = { type = "boolean", required = true, description = "publish it" },
    channel = { enum = { "stable", "beta" }, default = "stable", description = "who gets it" },
    note = "string",
  },
})
if not answer.approve then
  return { published = false, note = answer.note }
end

local published = task("FAKE", { payload = { channel = answer.channel } }).output.inputs.payload
return { published = true, channel = published.channel, note = answer.note }
