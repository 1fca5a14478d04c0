package git

import (
	"time"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/tasks"
)

// The operations.
const (
	cmdMetadata = "metadata"
	cmdGet      = "get"
	cmdList     = "list"
	cmdLog      = "log"
	cmdCommit   = "commit"
	cmdTag      = "tag"
)

// The ways to find credentials.
const (
	authAuto    = "auto"
	authDefault = "default"
)

// inlineLimit is how many bytes of files an output may hold.
const inlineLimit = 16 << 20

func spec() tasks.Spec {
	var fields []schema.Field
	fields = append(fields, targetFields()...)
	fields = append(fields, readFields()...)
	fields = append(fields, writeFields()...)
	fields = append(fields, accessFields()...)
	return tasks.Spec{
		Type: "GIT",
		Doc: `Reads and writes Git repositories over HTTPS, SSH and local paths.

It fetches no more than it needs: one commit without its files for metadata, one
commit's files for get, history only for log. No git program has to be installed,
and the hooks of a local repository do not run.`,
		Inputs: schema.Object{
			Fields:    fields,
			Conflicts: [][]string{{"password", "token"}},
		},
		Selector:   "command",
		Operations: operations(),
		Default:    map[string]any{"auth_method": authDefault},
	}
}

func targetFields() []schema.Field {
	return []schema.Field{
		{Name: "command", Type: schema.String, Default: cmdMetadata, Public: true,
			Enum: []string{cmdMetadata, cmdGet, cmdList, cmdLog, cmdCommit, cmdTag},
			Doc:  "What to do."},
		{Name: "repository_url", Type: schema.String, Required: true, Public: true, Destination: true,
			Doc: "Where the repository is: an https, http or ssh URL, user@host:path, or a local path or file URL. " +
				"A relative path starts at the files directory; `.` is the repository around it. Credentials have inputs of their own.",
			Examples: []string{"https://github.com/git/git.git", "git@github.com:git/git.git", "."}},
		{Name: "ref", Type: schema.String, Public: true,
			Doc: "A branch, a tag, a full reference name, or a full or abbreviated commit id. " +
				"Without it, the repository's HEAD. For commit it is the commit to build on: if the branch has moved on from there, nothing is written.",
			Examples: []string{"main", "v1.2.0", "refs/heads/main"}},
	}
}

func readFields() []schema.Field {
	return []schema.Field{
		{Name: "files_path", Type: schema.String, Public: true,
			Doc: "A directory in the files directory to write files into; it is made if needed. Files of the same name are replaced, others are left alone. " +
				"Without it, get gives up to 16 MiB of files in its output."},
		{Name: "paths", Type: schema.List, Elem: schema.String, Public: true,
			Doc:      "Which files: names, directories, or patterns in which `*` stops at a slash and `**` does not. Without it, all.",
			Examples: []string{"docs", "**/*.md"}},
		{Name: "sizes", Type: schema.Bool, Default: true,
			Doc: "Whether list tells the size of each file. Without sizes, the files need not be fetched from servers that can leave them out."},
		{Name: "max_count", Type: schema.Int, Default: int64(50),
			Doc: "How many commits log gives at most; 0 gives all."},
		{Name: "since", Type: schema.String,
			Doc:      "log stops at commits before this date (2026-01-31) or time (2026-01-31T08:00:00Z).",
			Examples: []string{"2026-01-31"}},
	}
}

func writeFields() []schema.Field {
	return []schema.Field{
		{Name: "files", Type: schema.Map, Elem: schema.Any,
			Doc: "What commit writes: a path to its text, or to a mapping with `content` (text) or `base64`, and `executable`."},
		{Name: "delete", Type: schema.List, Elem: schema.String,
			Doc: "Paths of files or directories that commit deletes."},
		{Name: "branch", Type: schema.String, Public: true,
			Doc: "The branch to commit to; without it, the one that HEAD names. A branch that does not exist is created."},
		{Name: "message", Type: schema.String, Multiline: true,
			Doc: "The commit's message, or the tag's: a tag with a message is an annotated one."},
		{Name: "author_name", Type: schema.String, Default: "weir", Public: true,
			Doc: "Who made the commit or the tag."},
		{Name: "author_email", Type: schema.String, Default: "weir@localhost", Public: true,
			Doc: "Their mail address."},
		{Name: "tag", Type: schema.String, Public: true,
			Doc: "The name of the tag to create.", Examples: []string{"v1.2.0"}},
		{Name: "force", Type: schema.Bool, Default: false,
			Doc: "Move a tag that exists at another commit."},
	}
}

func accessFields() []schema.Field {
	return []schema.Field{
		{Name: "username", Type: schema.String, Public: true,
			Doc: "The user to log in as. With a token, what the server wants beside it (most take anything); over SSH, instead of `git`."},
		{Name: "password", Type: schema.String, Sensitive: true, PairedWith: "username",
			Doc: "The user's password, over HTTPS or SSH."},
		{Name: "token", Type: schema.String, Sensitive: true, PairedWith: "username",
			Doc: "An access token, over HTTPS."},
		{Name: "ssh_key", Type: schema.String, Sensitive: true, Multiline: true,
			Doc: "A private key in OpenSSH or PEM format."},
		{Name: "ssh_key_passphrase", Type: schema.String, Sensitive: true,
			Doc: "What opens the private key, if it is encrypted."},
		{Name: "known_hosts", Type: schema.String, Multiline: true, Public: true, Destination: true,
			Doc: "The host keys to trust over SSH, as lines of an OpenSSH known_hosts file. No other key is trusted."},
		{Name: "ca_cert", Type: schema.String, Multiline: true, Public: true, Destination: true,
			Doc: "The certificate authorities to trust over HTTPS, in PEM format, instead of the system's."},
		{Name: "tls_verify", Type: schema.Bool, Default: true, Destination: true,
			Doc: "Whether the server's certificate is checked."},
		{Name: "auth_method", Type: schema.String, Default: authAuto, Enum: []string{authAuto, authDefault}, Public: true,
			Doc: "Where credentials come from. `auto`: the inputs here, and none if there are none. " +
				"`default`: if there are none, as git itself finds them: the SSH agent, keys, configuration and known hosts in ~/.ssh, git's credential helpers."},
		{Name: "connect_timeout", Type: schema.Duration, Default: 30 * time.Second,
			Doc: "How long connecting, logging in and the first answer may each take."},
	}
}

func operations() []tasks.Operation {
	return []tasks.Operation{
		{Name: cmdMetadata, Idempotent: true, Output: commitOutput(),
			Doc: "Tells about the newest commit."},
		{Name: cmdGet, Idempotent: true, Inputs: []string{"files_path", "paths"}, Output: getOutput(),
			Doc: "Gives files of a commit, in the output or written into the files directory. Submodules are listed, not fetched; LFS pointers stay as they are."},
		{Name: cmdList, Idempotent: true, Inputs: []string{"paths", "sizes"}, Output: listOutput(),
			Doc: "Lists the files of a commit."},
		{Name: cmdLog, Idempotent: true, Inputs: []string{"paths", "max_count", "since"}, Output: logOutput(),
			Doc: "Lists commits, newest first: those that changed one of the paths, if there are any."},
		{Name: cmdCommit, Inputs: []string{"files", "delete", "branch", "message", "author_name", "author_email"},
			Required: []string{"message"}, Output: commitOutput(),
			Doc: "Writes and deletes files in one new commit and pushes it. It never forces: if the branch has moved meanwhile, it fails with a conflict."},
		{Name: cmdTag, Idempotent: true, Inputs: []string{"tag", "message", "author_name", "author_email", "force"},
			Required: []string{"tag"}, Output: tagOutput(),
			Doc: "Creates a tag and pushes it. One that is there already, at the same commit, is left as it is."},
	}
}

func commitOutput() []tasks.OutputField {
	return []tasks.OutputField{
		{Name: "ref", Type: schema.String, Doc: "The full name of the reference, or the commit id if it was asked for by that."},
		{Name: "commit_sha", Type: schema.String, Doc: "The commit's id."},
		{Name: "short_sha", Type: schema.String, Doc: "Its first 7 digits."},
		{Name: "author_name", Type: schema.String, Doc: "Who wrote it."},
		{Name: "author_email", Type: schema.String, Doc: "Their mail address."},
		{Name: "commit_message", Type: schema.String, Doc: "The whole message, without the line break at its end."},
		{Name: "commit_date_iso", Type: schema.String, Doc: "When it was committed, as 2026-01-31T08:00:00+01:00 in the committer's time zone."},
		{Name: "commit_date_unix", Type: schema.Int, Doc: "The same in seconds since 1970."},
	}
}

func getOutput() []tasks.OutputField {
	return []tasks.OutputField{
		{Name: "ref", Type: schema.String, Doc: "The full name of the reference, or the commit id if it was asked for by that."},
		{Name: "commit_sha", Type: schema.String, Doc: "The commit's id."},
		{Name: "files", Type: schema.List, Doc: "Each file's `name` and base64 `content`; left out with files_path."},
		{Name: "count", Type: schema.Int, Doc: "How many files there are."},
		{Name: "size", Type: schema.Int, Doc: "How many bytes they have."},
		{Name: "symlinks", Type: schema.List, Doc: "Each symbolic link's `name` and `target`, and with files_path whether it was `written`: only if its target stays within; left out if there are none."},
		{Name: "submodules", Type: schema.List, Doc: "Each submodule's `name` and `sha`; left out if there are none."},
		{Name: "lfs", Type: schema.List, Doc: "The names of files that are LFS pointers; left out if there are none."},
	}
}

func listOutput() []tasks.OutputField {
	return []tasks.OutputField{
		{Name: "ref", Type: schema.String, Doc: "The full name of the reference, or the commit id if it was asked for by that."},
		{Name: "commit_sha", Type: schema.String, Doc: "The commit's id."},
		{Name: "entries", Type: schema.List, Doc: "Each file's `name`, `type` (file, executable, symlink, submodule), `mode`, `sha`, and `size` in bytes."},
	}
}

func logOutput() []tasks.OutputField {
	return []tasks.OutputField{
		{Name: "ref", Type: schema.String, Doc: "The full name of the reference, or the commit id if it was asked for by that."},
		{Name: "commits", Type: schema.List, Doc: "What metadata tells of a commit, and the ids of its `parents`."},
	}
}

func tagOutput() []tasks.OutputField {
	return []tasks.OutputField{
		{Name: "ref", Type: schema.String, Doc: "The tag's full reference name."},
		{Name: "tag", Type: schema.String, Doc: "Its name."},
		{Name: "commit_sha", Type: schema.String, Doc: "The id of the commit that it names."},
		{Name: "created", Type: schema.Bool, Doc: "Whether it was created or moved; false if it was there."},
	}
}
