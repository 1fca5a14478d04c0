-- Writes to the log, with fields, and reports progress. Both are seen live, on stderr; with -q only the
-- warning and the error are.
--
--   weir run flows/examples/log.lua -i files=3

local files = input.files or 3

log.debug("starting", { files = files })
for i = 1, files do
  progress(i, files, "reading")
  log.info("read", { file = "part-" .. i, bytes = 1024 * i })
end
log.warn("nothing was changed", { reason = "this is an example" })
log.error("this is how an error looks, and the flow goes on")
return files
