package main

// vaultGuide is what "weir help vault" says beyond the commands. Its policy and its
// command lines are tried against a real Vault by the tests.
const vaultGuide = `Secrets are read from named Vaults; an attached secret that names none is read from the one called
"default". They are configured by --secrets (a file, for development), by the file of --vault-file, in the
encrypted store (weir vault add), or by VAULT_ADDR and VAULT_TOKEN. The first that has a name wins.

THE RIGHTS THAT WEIR NEEDS

Nothing but read on the secrets. In a policy, the path of a KV version 2 secret has "data" after the mount:

  path "secret/data/team/*" {
    capabilities = ["read"]
  }

In a connection, secret/data/team/oracle and secret/team/oracle are the same. weir finds out of which KV
version a mount is; where the policy forbids to ask, it tries. --kv secret=2 spares it the search.

SETTING UP AN APPROLE

  vault policy write weir weir.hcl
  vault auth enable approle
  vault write auth/approle/role/weir token_policies=weir token_ttl=1h
  vault read -field=role_id auth/approle/role/weir/role-id
  vault write -f -field=secret_id auth/approle/role/weir/secret-id > secret-id
  weir vault add default --address https://vault.example.com:8200 --role-id ROLE_ID --secret-id-file secret-id
  rm secret-id
  weir vault test --path secret/team/oracle

The secret id is then encrypted in the store. With a Vault agent there is nothing to store: its token file is
read again before each use.

  weir vault add default --address https://vault.example.com:8200 --auth token_file --token-file /run/vault/token

ROTATION

A secret is read when a task starts and kept for 30 seconds (--cache-ttl), for all who read it at the same
time too; so a task that starts half a minute later uses a new version. "version" in an attached secret
pins one. If the other system refuses the credentials, the secrets are read again, and if they have changed,
the task is tried once more, provided that its operation may be repeated. The execution records the version.

WHEN SOMETHING IS WRONG

weir vault test says stage by stage what works: name, connection, certificate, login, read. The errors:

  not found           no such secret, or another mount than the one that was meant
  deleted, destroyed  this version is gone; the first can be undeleted
  no such key         the secret has other keys; the error names them
  permission denied   the hint names the line that the policy lacks
  login failed        the token or secret id is wrong, expired or revoked
  sealed              the server is up and must be unsealed
  unreachable         no connection, or what answers is no Vault
  timed out           no answer within the timeout (--timeout)

WHEN VAULT IS DOWN

Without more, tasks that need a secret from it fail. --tolerate 10m has them use what was read within the
last ten minutes, with a warning, while Vault is unreachable, sealed or silent; never when it refuses. Or
let the flow wait: connect(name, inputs, {retry = {max_tries = 10}}).

NAMESPACES (Vault Enterprise)

--namespace is where secrets are read, --login-namespace where the login is, if that is another one; "root"
names the root namespace.`
