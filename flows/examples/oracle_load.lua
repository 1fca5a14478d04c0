-- Loads a CSV file into an Oracle table, a thousand rows at a time. Rows that the database refuses are
-- told, and the others are committed.
--
--   weir run flows/examples/oracle_load.lua --connections flows/examples/connections -i file=customers.csv

local loaded = connect("oracle", {
  batch = "INSERT INTO customers (id, name) VALUES (:id, :name)",
  rows_path = input.file or error("say which file: -i file=customers.csv", 0),
  on_row_error = "keep",
  total_timeout = "10m",
}).output

for _, failed in ipairs(loaded.errors) do
  log.warn("row " .. failed.row .. " was refused", { reason = failed.message })
end
return { sent = loaded.row_count, loaded = loaded.rows_affected, refused = #loaded.errors }
