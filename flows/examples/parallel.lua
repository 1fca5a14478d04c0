-- Does several things at the same time and waits for all of them.
--
--   weir run flows/examples/parallel.lua --connections flows/examples/connections

local results = parallel({
  function() return connect("library").output.short_sha end,
  function() return #connect("library", { command = "list", sizes = false }).output.entries end,
  function() return task("FAKE", { payload = "no connection needed", delay = "50ms" }).output.inputs.payload end,
})

return { head = results[1], files = results[2], fake = results[3] }
