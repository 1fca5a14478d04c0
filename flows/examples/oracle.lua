-- Asks an Oracle database for its version. User and password stand in a Vault.
--
--   weir run flows/examples/oracle.lua --connections flows/examples/connections

local version = connect("oracle", { execute = "SELECT * FROM v$version" }).output
for _, row in ipairs(version.result) do
  log.info(row.BANNER)
end
return { rows = version.row_count, banner = version.result[1].BANNER }
