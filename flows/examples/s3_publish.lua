-- Publishes the pages of a Git repository to a bucket: gets the files of the newest commit, and uploads those that
-- have changed.
--
--   weir run flows/examples/s3_publish.lua --connections flows/examples/connections

local pages = connect("library", { command = "get", paths = { "**/*.md" }, files_path = "dist/pages" }).output

local site = connect("files", {
  command = "sync",
  direction = "up",
  folder = "dist/pages",
  prefix = "site",
  compare = "checksum", -- a checkout is always new
  delete = true,
  cache_control = "max-age=300",
}).output

log.info("published", { commit = pages.commit_sha, files = site.transferred })
return { commit = pages.commit_sha, uploaded = site.transferred, unchanged = site.unchanged }
