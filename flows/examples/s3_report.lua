-- Uploads a report, unless it is there already, and makes a URL with which anyone can read it for a day. The flow
-- has the URL and can send it; whoever looks at the execution sees *** in its place.
--
--   weir run flows/examples/s3_report.lua --connections flows/examples/connections -i month=2026-08

local month = input.month or error("say which month: -i month=2026-08", 0)
local key = "reports/" .. month .. ".csv"

local report = connect("files", {
  command = "upload",
  key = key,
  content = "month,sold\n" .. month .. ",42\n",
  metadata = { made_by = "weir" },
  only_if_absent = true,
}, { on_error = "return" })
if not report:ok() and report.error.kind ~= "conflict" then
  error(report.error)
end

local link = connect("files", { command = "presign", key = key, expires = "24h" }).output
return { new = report:ok(), method = link.method, url = link.url }
