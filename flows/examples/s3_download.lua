-- Lists the objects in a folder of a bucket, and downloads those that are CSV files into the files directory.
--
--   weir run flows/examples/s3_download.lua --connections flows/examples/connections

local entries = connect("files", { command = "list", prefix = "reports/" }).output.entries

local files, folders = {}, {}
for _, entry in ipairs(entries) do
  if entry.type == "folder" then
    table.insert(folders, entry.name)
  elseif entry.name:match("%.csv$") then
    local file = connect("files", { command = "download", key = entry.key, file = "dist/" .. entry.name })
    table.insert(files, { name = entry.name, size = file.output.size })
  end
end

return { files = files, folders = folders }
