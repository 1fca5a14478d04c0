-- Writes a file to a repository over SSH, as one commit, and tags it. The key stands in a Vault.
-- A branch that has moved meanwhile is a conflict: nothing is overwritten.
--
--   weir run flows/examples/publish.lua --connections flows/examples/connections -i version=1.4.0

local version = input.version or error("say which version: -i version=...", 0)

local head = connect("team-ssh").output.commit_sha
local commit = connect("team-ssh", {
  command = "commit",
  ref = head, -- build on this one, or fail
  files = { ["VERSION"] = version .. "\n" },
  message = "release " .. version,
}).output

local tag = connect("team-ssh", { command = "tag", tag = "v" .. version, ref = commit.commit_sha }).output
return { commit = commit.short_sha, tag = tag.tag, created = tag.created }
