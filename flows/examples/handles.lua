-- Passes a secret from the flow itself. secret() gives a handle, which shows its name and never the secret:
-- only the task that gets it as an input reads what it stands for.
--
--   weir run flows/examples/handles.lua --connections flows/examples/connections

local password = secret("secret/git#password")
log.info("a handle is no text", { handle = tostring(password), type = type(password) })

local team = connect("team-without-secret", { username = "weir", password = password })
return { head = team.output.short_sha, handle = tostring(password) }
