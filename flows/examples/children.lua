-- Runs other flows as children: one after another, and several at the same time. They are looked for beside
-- the flow that names them, then in the --flows directories.
--
--   weir run flows/examples/children.lua

local first = flow("greet", { name = "Ada" })

local started = {}
for i, name in ipairs({ "Grace", "Barbara" }) do
  started[i] = flow("greet", { name = name }, { wait = false, name = "greet " .. name })
end
wait_all(started)

local greetings = array({ first.output.greeting })
for _, child in ipairs(started) do
  table.insert(greetings, child.output.greeting)
end
return greetings
