-- Makes a folder of a bucket like a directory: what is new or has changed is uploaded, what is gone is deleted.
-- The plan comes first, and nothing is done if it would delete too much.
--
--   weir run flows/examples/s3_sync.lua --connections flows/examples/connections

local how = { command = "sync", direction = "up", folder = "docs", prefix = "docs", delete = true }

how.dry_run = true
local plan = connect("files", how).output
if plan.deleted > 10 then
  error("it would delete " .. plan.deleted .. " objects", 0)
end

how.dry_run = false
local done = connect("files", how).output
return { planned = #plan.plan, uploaded = done.transferred, deleted = done.deleted, unchanged = done.unchanged }
