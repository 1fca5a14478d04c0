-- Reads a repository that wants a user and a password, which stand in a Vault (VAULT_ADDR, VAULT_TOKEN).
--
--   weir run flows/examples/team.lua --connections flows/examples/connections

return { head = connect("team").output }
