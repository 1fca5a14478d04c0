-- Reads files of a repository: a list of all, the text of one, and those that match a pattern into the files
-- directory, which is the working directory unless --files says another.
--
--   weir run flows/examples/files.lua --connections flows/examples/connections

local entries = connect("library", { command = "list" }).output.entries

local readme = connect("library", { command = "get", paths = { "README.md" } }).output.files[1]
local title = base64.decode(readme.content):match("^# ([^\n]*)")

local written = connect("library", { command = "get", paths = { "**/*.md" }, files_path = "dist/pages" }).output

return { files = #entries, title = title, written = written.count }
