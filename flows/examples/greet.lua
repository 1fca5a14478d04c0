-- Takes inputs and gives an output. children.lua runs this flow as a child.
--
--   weir run flows/examples/greet.lua -i name=Ada -i loud=true

local greeting = "Hello, " .. (input.name or "world") .. "!"
if input.loud then
  greeting = greeting:upper()
end
return { greeting = greeting }
