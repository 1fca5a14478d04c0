-- Cleans up, whatever happens: a function given to defer() runs at the end of the flow, also after an error
-- or Ctrl-C. It gets the error, or nil. The last one given runs first.
--
--   weir run flows/examples/defer.lua -i fail=true

defer(function(err)
  log.info("unlocked", { after = err and err.kind or "success" })
end)
log.info("locked")

local file = task("FAKE", { payload = "temporary" }).output.inputs.payload
defer(function()
  log.info("removed", { file = file })
end)

if input.fail then
  error("the middle of the flow failed")
end
return "all done"
