-- Shows the order in which inputs are applied: the connection's value, its attached secrets, what the flow
-- passes. Each replaces the one before. See also: weir connection explain order --set port=5434
--
--   weir run flows/examples/order.lua --connections flows/examples/connections --secrets flows/examples/secrets.yaml

local function port(name, overrides)
  return connect(name, overrides).output.inputs.port
end

return {
  value = port("order-without-secret"),        -- port: 5432 in the value
  secret = port("order"),                      -- the same, and port: 5433 in the secret
  flow = port("order", { port = 5434 }),       -- the same, and here
  default = port("order", { port = null }),    -- null takes it away: the task type's default
}
