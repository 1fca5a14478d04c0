package s3

import (
	"time"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/tasks"
)

// The operations.
const (
	cmdListBuckets  = "list_buckets"
	cmdList         = "list"
	cmdMetadata     = "metadata"
	cmdDownload     = "download"
	cmdUpload       = "upload"
	cmdDelete       = "delete"
	cmdCopy         = "copy"
	cmdMove         = "move"
	cmdPresign      = "presign"
	cmdVersions     = "versions"
	cmdSync         = "sync"
	cmdCreateBucket = "create_bucket"
	cmdDeleteBucket = "delete_bucket"
	cmdAbortUploads = "abort_uploads"
)

// The ways to find credentials.
const (
	authAccessKey   = "access_key"
	authCLI         = "aws_cli"
	authDefault     = "default"
	authAssumeRole  = "assume_role"
	authWebIdentity = "web_identity"
	authAnonymous   = "anonymous"
)

// When checksums are sent and checked.
const (
	checksumsAuto     = "auto"
	checksumsRequired = "required"
	checksumsAlways   = "always"
)

// Values of other inputs.
const (
	directionUp, directionDown     = "up", "down"
	compareSizeTime, compareSum    = "size_mtime", "checksum"
	presignGet, presignPut         = "get", "put"
	defaultRegion                  = "us-east-1"
	defaultPart, leastPart         = 16 << 20, 5 << 20
	defaultConcurrency, mostAtOnce = 16, 256
)

// inlineLimit is how many bytes of an object an output may hold.
const inlineLimit = 16 << 20

func spec() tasks.Spec {
	var fields []schema.Field
	fields = append(fields, targetFields()...)
	fields = append(fields, listFields()...)
	fields = append(fields, fileFields()...)
	fields = append(fields, objectFields()...)
	fields = append(fields, otherFields()...)
	fields = append(fields, accessFields()...)
	fields = append(fields, wireFields()...)
	return tasks.Spec{
		Type: "S3",
		Doc: `Reads and writes objects in Amazon S3 and in every service that speaks its protocol.

With ` + "`endpoint`" + ` it talks to an S3-compatible service (MinIO, Cloudflare R2, DigitalOcean Spaces, Wasabi, Ceph) instead of AWS,
and addresses buckets in the path. Files are transferred in parallel parts, with about 1 MiB of memory for each part under way,
and a transfer that a crash interrupted goes on where it was.`,
		Inputs: schema.Object{
			Fields: fields,
			Conflicts: [][]string{
				{"key", "keys"}, {"content", "content_base64", "file"}, {"search", "contains"}, {"only_if_absent", "only_if_etag"},
			},
		},
		Selector:   "command",
		Operations: operations(),
		Default:    map[string]any{"auth_method": authDefault, "region": ""},
	}
}

func targetFields() []schema.Field {
	return []schema.Field{
		{Name: "command", Type: schema.String, Default: cmdListBuckets, Public: true,
			Enum: []string{cmdListBuckets, cmdList, cmdMetadata, cmdDownload, cmdUpload, cmdDelete, cmdCopy, cmdMove,
				cmdPresign, cmdVersions, cmdSync, cmdCreateBucket, cmdDeleteBucket, cmdAbortUploads},
			Doc: "What to do."},
		{Name: "bucket", Type: schema.String, Public: true, Doc: "The bucket's name.", Examples: []string{"my-bucket"}},
		{Name: "key", Type: schema.String, Public: true, Doc: "The object's key, exactly.", Examples: []string{"reports/2026/august.csv"}},
		{Name: "version_id", Type: schema.String, Public: true, Doc: "A version of the object. Without it, the newest."},
		{Name: "prefix", Type: schema.String, Public: true, Doc: "Only objects whose keys begin with this.", Examples: []string{"reports/"}},
	}
}

func listFields() []schema.Field {
	return []schema.Field{
		{Name: "search", Type: schema.String, Public: true,
			Doc: "Only entries whose keys begin with prefix and then this, as the server finds them: fast in a bucket of any size."},
		{Name: "contains", Type: schema.String, Public: true,
			Doc: "Only entries whose names contain this, in any case. The server cannot search so: all entries below prefix are read, `max_pages` pages of 1,000 at most."},
		{Name: "max_pages", Type: schema.Int, Default: int64(100), Doc: "How many pages a search with contains reads at most."},
		{Name: "recursive", Type: schema.Bool, Default: false, Doc: "List the objects in folders too, instead of the folders."},
		{Name: "limit", Type: schema.Int, Default: int64(1000),
			Doc: "How many entries an output holds at most; 0 gives all. Lists written to a file have no limit."},
		{Name: "start_after", Type: schema.String, Public: true, Doc: "List entries after this key: the `next` of an earlier list."},
	}
}

func fileFields() []schema.Field {
	return []schema.Field{
		{Name: "file", Type: schema.String, Public: true,
			Doc:      "A file in the files directory: what upload reads, download writes, and where list writes its entries as lines of JSON. A file that is there is replaced when the new one is complete.",
			Examples: []string{"reports/august.csv"}},
		{Name: "content", Type: schema.String, Multiline: true, Doc: "The text to upload, instead of a file."},
		{Name: "content_base64", Type: schema.String, Doc: "The bytes to upload in base64, instead of a file."},
		{Name: "range", Type: schema.String, Public: true,
			Doc:      "Which bytes to download, counted from 0: `0-99`, `100-`, or `-100` for the last ones.",
			Examples: []string{"0-1023"}},
		{Name: "folder", Type: schema.String, Public: true, Doc: "The directory in the files directory to sync.", Examples: []string{"site"}},
	}
}

func objectFields() []schema.Field {
	return []schema.Field{
		{Name: "content_type", Type: schema.String, Public: true, Doc: "The object's media type. Without it, it is guessed from name and content.",
			Examples: []string{"text/csv"}},
		{Name: "cache_control", Type: schema.String, Public: true, Doc: "How long the object may be cached.", Examples: []string{"max-age=3600"}},
		{Name: "content_disposition", Type: schema.String, Public: true, Doc: "How a browser presents the object.",
			Examples: []string{`attachment; filename="august.csv"`}},
		{Name: "content_encoding", Type: schema.String, Public: true, Doc: "How the content is encoded.", Examples: []string{"gzip"}},
		{Name: "metadata", Type: schema.Map, Elem: schema.String, Doc: "The object's own metadata."},
		{Name: "tags", Type: schema.Map, Elem: schema.String, Doc: "The object's tags."},
		{Name: "storage_class", Type: schema.String, Public: true, Doc: "How the object is stored.", Examples: []string{"STANDARD_IA", "GLACIER"}},
		{Name: "encryption", Type: schema.String, Enum: []string{"AES256", "aws:kms", "aws:kms:dsse"}, Public: true,
			Doc: "How the server encrypts the object. Without it, as the bucket says."},
		{Name: "kms_key_id", Type: schema.String, Public: true, Doc: "The key for encryption aws:kms."},
		{Name: "only_if_absent", Type: schema.Bool, Doc: "Upload only if there is no such object yet. A try whose answer is lost is made again: then the conflict may be with itself."},
		{Name: "only_if_etag", Type: schema.String, Public: true, Doc: "Upload only if the object has this ETag now."},
	}
}

func otherFields() []schema.Field {
	return []schema.Field{
		{Name: "keys", Type: schema.List, Elem: schema.String, Public: true, Doc: "The keys of the objects to delete."},
		{Name: "all_versions", Type: schema.Bool, Default: false, Doc: "Delete every version of the objects, not only the newest: nothing can bring them back then."},
		{Name: "dry_run", Type: schema.Bool, Default: false, Doc: "Only tell what would be done."},
		{Name: "to_bucket", Type: schema.String, Public: true, Doc: "The bucket to copy or move to. Without it, the same."},
		{Name: "to_key", Type: schema.String, Public: true, Doc: "The key to copy or move to."},
		{Name: "method", Type: schema.String, Default: presignGet, Enum: []string{presignGet, presignPut}, Public: true,
			Doc: "Whether the URL is for downloading (get) or uploading (put)."},
		{Name: "expires", Type: schema.Duration, Default: time.Hour, Doc: "How long the URL is valid, at most 7 days (168h). With temporary credentials it ends with them."},
		{Name: "direction", Type: schema.String, Enum: []string{directionUp, directionDown}, Public: true,
			Doc: "Whether the bucket is made like the folder (up), or the folder like the bucket (down)."},
		{Name: "compare", Type: schema.String, Default: compareSizeTime, Enum: []string{compareSizeTime, compareSum}, Public: true,
			Doc: "How sync knows what has changed. `size_mtime`: another size, or a newer source. `checksum`: another content, by ETag; every file is read for that."},
		{Name: "delete", Type: schema.Bool, Default: false, Doc: "Let sync delete what the source has not."},
		{Name: "versioning", Type: schema.Bool, Default: false, Doc: "Let the new bucket keep versions."},
		{Name: "older_than", Type: schema.Duration, Default: 24 * time.Hour, Doc: "Leave uploads alone that were begun within this time: they may be under way."},
	}
}

func accessFields() []schema.Field {
	return []schema.Field{
		{Name: "access_key_id", Type: schema.String, Sensitive: true, Doc: "The id of the access key. Required unless auth_method says otherwise."},
		{Name: "secret_access_key", Type: schema.String, Sensitive: true, Doc: "The secret of the access key. Required unless auth_method says otherwise."},
		{Name: "session_token", Type: schema.String, Sensitive: true, Doc: "The token that belongs to a temporary access key."},
		{Name: "region", Type: schema.String, Default: defaultRegion, Public: true,
			Doc:      "The region of the service. On AWS, buckets in other regions are found by themselves. Not given, or empty: what the profile or the environment says, where auth_method asks them.",
			Examples: []string{"eu-west-1"}},
		{Name: "endpoint", Type: schema.String, Public: true, Destination: true,
			Doc:      "The URL of an S3-compatible service. Empty: AWS.",
			Examples: []string{"https://minio.mycompany.com"}},
		{Name: "auth_method", Type: schema.String, Default: authAccessKey, Public: true,
			Enum: []string{authAccessKey, authCLI, authDefault, authAssumeRole, authWebIdentity, authAnonymous},
			Doc: "Where credentials come from. `access_key`: the inputs here. `aws_cli`: a profile of the AWS command line. `default`: as the AWS command line " +
				"finds them: environment, profile, container, machine. `assume_role`: a role, with the access key here or else the default's. " +
				"`web_identity`: a role, with an OpenID Connect token. `anonymous`: none."},
		{Name: "profile", Type: schema.String, Public: true, Doc: "The profile of the AWS command line. Without it, what AWS_PROFILE says, or `default`."},
		{Name: "role_arn", Type: schema.String, Public: true, Doc: "The role for assume_role and web_identity.", Examples: []string{"arn:aws:iam::123456789012:role/weir"}},
		{Name: "external_id", Type: schema.String, Doc: "The external id that the role asks for."},
		{Name: "session_name", Type: schema.String, Default: "weir", Public: true, Doc: "What the session with the role is called in AWS's logs."},
		{Name: "web_identity_token", Type: schema.String, Sensitive: true, Doc: "The OpenID Connect token. Without it, the one in the file AWS_WEB_IDENTITY_TOKEN_FILE."},
		{Name: "sts_endpoint", Type: schema.String, Public: true, Destination: true, Doc: "The URL of the service that gives out roles. Empty: AWS STS in the region."},
		{Name: "expected_bucket_owner", Type: schema.String, Public: true, Doc: "The AWS account that must own the bucket.", Examples: []string{"123456789012"}},
	}
}

func wireFields() []schema.Field {
	return []schema.Field{
		{Name: "path_style", Type: schema.Bool, Doc: "Whether the bucket's name stands in the path of a URL instead of its host. Without it, yes if there is an endpoint."},
		{Name: "checksums", Type: schema.String, Default: checksumsAuto, Enum: []string{checksumsAuto, checksumsRequired, checksumsAlways}, Public: true,
			Doc: "When checksums of contents are sent and checked. `auto`: always with AWS; with an endpoint, where the protocol requires it, because some services refuse more. " +
				"`required`: where the protocol requires it. `always`: always; downloads without a checksum are checked against their ETag."},
		{Name: "ca_cert", Type: schema.String, Multiline: true, Public: true, Destination: true,
			Doc: "The certificate authorities to trust, in PEM format, instead of the system's."},
		{Name: "tls_verify", Type: schema.Bool, Default: true, Destination: true, Doc: "Whether the server's certificate is checked."},
		{Name: "proxy", Type: schema.String, Public: true, Destination: true, Doc: "The URL of an HTTP proxy. Without it, what the environment says.",
			Examples: []string{"http://proxy.mycompany.com:3128"}},
		{Name: "proxy_username", Type: schema.String, Public: true, Doc: "The user that the proxy asks for."},
		{Name: "proxy_password", Type: schema.String, Sensitive: true, PairedWith: "proxy_username", Doc: "The user's password for the proxy."},
		{Name: "connect_timeout", Type: schema.Duration, Default: 10 * time.Second, Doc: "How long connecting may take."},
		{Name: "read_timeout", Type: schema.Duration, Default: 2 * time.Minute, Doc: "How long a connection may stand still."},
		{Name: "concurrency", Type: schema.Int, Default: int64(defaultConcurrency), Doc: "How many parts or small objects are transferred at the same time, 1 to 256."},
		{Name: "part_size", Type: schema.Int, Default: int64(defaultPart),
			Doc: "The bytes of a part, at least 5 MiB; objects up to this size are transferred at once. It is raised for objects that would have over 10,000 parts."},
	}
}
