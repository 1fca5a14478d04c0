-- Tries again what may work later. The option `retry` repeats a task when the other system could not be
-- reached, or did not have what was asked for: here a tag that somebody may yet set. The function retry()
-- repeats a function after any error.
--
--   weir run flows/examples/retry.lua --connections flows/examples/connections

local release = connect("library", { ref = "refs/tags/not-yet-there" }, {
  retry = { max_tries = 3, delay = "10ms", backoff = 2 },
  on_error = "return",
})

local text = retry(function(try)
  if try < 3 then
    error("not yet")
  end
  return "done at try " .. try
end, { max_tries = 5, delay = "10ms" })

return { release = release:ok() or release.error.message, text = text }
