// Package vaultint reads secrets from HashiCorp Vault.
//
// A [Client] stands for one named configuration: it logs in once for all of its
// readers, finds out what kind of secrets engine a path belongs to, and gives one
// version of a secret as [secret.Data]. [Client.Test] goes the same way stage by
// stage and says where it ends.
//
// # Paths
//
// "secret/data/oracle" (the path of Vault's API and policies) and "secret/oracle"
// (the path of its command line) name the same secret of a KV version 2 mount. To
// name a secret that is itself called "data/oracle", give the mount apart or write
// "secret/data/data/oracle". Which mount a path belongs to, and of which kind it
// is, is known or found in this order:
//
//  1. [Config.Mounts] or [secret.Ref.Mount] say so;
//  2. it was found before (it is forgotten when a secret is not there, because the
//     mount may have been replaced);
//  3. Vault is asked, at sys/internal/ui/mounts; it tells any token that may do
//     something below the mount;
//  4. where Vault refuses that, the forms that the path could have are read one
//     after the other: as given if it has a "data" segment, then as KV version 2
//     with a mount of one, two and three segments, then as given. The first one
//     that answers is remembered for the mount. So a policy with nothing but read
//     on "secret/data/team/*" is enough.
//
// Paths below sys/ and auth/ are refused: they hold no secrets for tasks, and could
// show the client's own token.
//
// # Errors
//
// Every failed read is a [secret.ReadError] whose Reason tells apart what has
// another remedy, or the error of the caller's context. None of them, and nothing
// that they wrap, holds a value, a token, a secret id or a text that did not come
// from Vault itself. Nothing is read from VAULT_* variables, except by
// [FromEnvironment] through the function that it is given. (The API module looks at
// them when a client is made and refuses to make one where they are malformed;
// their values are put aside.)
//
// # Economy
//
// What was read is kept for [Config.CacheTTL], for the identity that read it, at most
// 1,000 secrets or 32 MiB; both forms of a path are one secret. Refusals that would
// only be repeated (denied, not found) are kept too, at first for a second, then for
// twice as long each time. What Vault makes for its reader, such as a database user,
// is neither kept nor shared. [Client.Forget] is the way past what is kept.
//
// With [Config.Tolerate], an outage is bridged with what was read before it. Who reads
// first waits for what the read comes to; from then on, what is kept is given at once,
// while Vault is asked again in the background, each secret at most once in five seconds.
//
// # Life
//
// A token is renewed when 60 to 80 % of its life are over; one that the client got by
// logging in is replaced then if it cannot be renewed, or not for long. A token that
// was given is renewed too, if Vault allows it; where it does not, a warning is logged.
// One that comes from a file is left to who writes it. Lives are counted as durations:
// clocks may differ. What is read from files (tokens, secret ids, certificates) is read
// again for each use, and another identity in them is another login. A login that Vault
// refuses is not repeated at once, but after a second, then after twice as long each
// time.
//
// # Wrapped secret ids
//
// With [Auth.SecretIDWrapped], Vault is asked first where and when the wrapping token
// was made; one that was not made by a role of this login's mount is not used. One that
// Vault does not know any more was used, perhaps by somebody else, or has expired, which
// the error says. The secret id is then in memory only. A token that cannot be renewed
// any more is followed by a login with the same secret id, if its role allows that, or
// with that of a new wrapping token in the file. After a restart of the program there
// must be a new one: whoever starts it has to put it there.
package vaultint
