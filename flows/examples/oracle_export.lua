-- Exports rows of an Oracle table to a CSV file, however many there are, and uploads it to a bucket.
--
--   weir run flows/examples/oracle_export.lua --connections flows/examples/connections -i since=2026-01-01

local since = input.since or error("say from when on: -i since=2026-01-01", 0)

local orders = connect("oracle", {
  fetch = "SELECT id, customer, amount FROM orders WHERE ordered >= :since ORDER BY id",
  params = { since = { type = "date", value = since } },
  file_path = "orders.csv",
  total_timeout = "1h",
}).output

local key = "exports/orders-" .. since .. ".csv"
connect("files", { command = "upload", key = key, file = orders.file })
return { rows = orders.row_count, size = orders.size, key = key }
