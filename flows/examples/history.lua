-- Lists the newest commits of a repository, or those that changed one file or directory.
--
--   weir run flows/examples/history.lua --connections flows/examples/connections -i path=README.md

local commits = connect("library", {
  command = "log",
  paths = input.path and { input.path },
  max_count = 5,
}).output.commits

local lines = array()
for _, commit in ipairs(commits) do
  local subject = commit.commit_message:match("^[^\n]*")
  table.insert(lines, commit.short_sha .. " " .. time.format(commit.commit_date_unix, "%F") .. " " .. subject)
end
return lines
