-- Uses a connection whose value says where each key of a secret goes, with vault.secret(key). The names of
-- the keys need not be those of the inputs, and a placeholder may stand deep within a value or in the middle
-- of a text. Wherever a secret is shown it is masked: in the output of this flow, `schemas` ends with ***.
--
--   weir run flows/examples/placeholders.lua --connections flows/examples/connections --secrets flows/examples/secrets.yaml

local inputs = connect("reporting").output.inputs

return { host = inputs.host, user = inputs.user, schemas = inputs.payload.schemas }
