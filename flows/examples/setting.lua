-- Counts in a value that flows share. The lock keeps others out between reading and writing; who waits longer than
-- it says gets an error of kind "timeout". The lock's number grows from holder to holder, so that another system
-- can refuse a holder that came back too late. With `weir run` the value lasts as long as the run, else for ever.
--
--   weir run flows/examples/setting.lua -i name=Ada

local counter = setting("build-counter")

local fence = counter:lock("1m")
defer(function() counter:unlock() end) -- the end of the flow would do it, too

local last = counter:get() or { number = 0 }
counter:set({ number = last.number + 1, by = input.name })

local tagged = task("FAKE", { payload = { build = counter:get().number, fence = fence } }).output.inputs.payload
return { build = tagged.build, fence = tagged.fence, before = last.by }
