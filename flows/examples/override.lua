-- Overrides an input of a connection: the same repository at another branch, tag or commit.
--
--   weir run flows/examples/override.lua --connections flows/examples/connections -i ref=v2

local ref = input.ref or error("say which branch, tag or commit: -i ref=...", 0)

local head = connect("library").output
local other = connect("library", { ref = ref }).output

return { head = head.short_sha, [ref] = other.short_sha, same = head.commit_sha == other.commit_sha }
