-- Uses a connection with an attached secret: all keys of the secret become inputs. FAKE stands for a
-- database; it gives its inputs back, but never a password. The file of secrets stands for a Vault:
-- with VAULT_ADDR and VAULT_TOKEN set, leave --secrets out.
--
--   weir run flows/examples/attached.lua --connections flows/examples/connections --secrets flows/examples/secrets.yaml

local inputs = connect("database").output.inputs

return { host = inputs.host, user = inputs.user, password_shown = inputs.password ~= nil }
