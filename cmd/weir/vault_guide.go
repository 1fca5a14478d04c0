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

A SECRET ID THAT NOBODY SEES ON THE WAY

Have Vault wrap it. The wrapping token can be used once: if somebody else used it, weir says so and stores
nothing; and weir does not use one that was made elsewhere than by a role of that login.

  vault write -f -wrap-ttl=10m -field=wrapping_token auth/approle/role/weir/secret-id > wrapped
  weir vault add team --address https://vault.example.com:8200 --role-id ROLE_ID --secret-id-file wrapped --wrapped

With --reread, the secret id is never stored: weir unwraps the token of the file when it first logs in, and
keeps the secret id in memory. It logs in with it again when a token has reached its last end, so let the role
allow that (secret_id_num_uses=0, secret_id_ttl at least as long as weir runs), or put a new wrapping token
into the file in time. Each start of weir needs a new one there, put by whatever starts it: every command that
reads a secret is a start. "weir vault test" leaves the token unused. With --reread and no --wrapped, the file
holds the secret id itself and is read at each login.

LOGGING IN BY CERTIFICATE

  vault auth enable cert
  vault write auth/cert/certs/weir certificate=@clients-ca.pem allowed_common_names=weir token_policies=weir
  weir vault add mutual --address https://vault.example.com:8200 --client-cert-file weir.pem --client-key-file weir.key --reread

With --reread, renewed files are used by the next connection; without it, their texts are encrypted in the
store. The certificate is shown with any other way of logging in, too, if the server wants to see one.

LIFE OF A TOKEN

Tokens are renewed in time and replaced by a new login when they cannot be renewed any more; a token that was
given (--auth token) is renewed as long as Vault allows it, and a warning says when it does not. Clocks may
be wrong. Nothing needs a restart: when Vault restarts, has another leader, is unsealed again or gets another
certificate of an authority that is trusted (--ca-cert-file may hold several), weir goes on.

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
  login failed        the token, secret id or certificate is wrong, expired, revoked or used up
  sealed              the server is up and must be unsealed
  unreachable         no connection, or what answers is no Vault
  timed out           no answer within the timeout (--timeout)

WHEN VAULT IS DOWN

Without more, tasks that need a secret from it fail. --tolerate 10m has them use what was read within the
last ten minutes, with a warning, while Vault is unreachable, sealed or silent; never when it refuses. The
first of them waits for the timeout, the others do not: Vault is asked again in the background. Or let the flow wait: connect(name, inputs, {retry = {max_tries = 10}}).

NAMESPACES (Vault Enterprise)

--namespace is where secrets are read, --login-namespace where the login is, if that is another one; "root"
names the root namespace.`
