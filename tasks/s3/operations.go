package s3

import (
	"slices"

	"github.com/weir-engine/weir/connections/schema"
	"github.com/weir-engine/weir/tasks"
)

func operations() []tasks.Operation {
	object := []string{"content_type", "cache_control", "content_disposition", "content_encoding", "metadata", "tags", "storage_class", "encryption", "kms_key_id"}
	copying := append([]string{"bucket", "key", "version_id", "to_bucket", "to_key"}, object...)
	return []tasks.Operation{
		{Name: cmdListBuckets, Idempotent: true, Output: bucketsOutput(), Doc: "Lists the buckets."},
		{Name: cmdList, Idempotent: true, Required: []string{"bucket"}, Output: listOutput(),
			Inputs: []string{"bucket", "prefix", "search", "contains", "max_pages", "recursive", "limit", "start_after", "file"},
			Doc:    "Lists the objects of a bucket, page after page. What has a slash behind the prefix appears as one folder, unless recursive."},
		{Name: cmdMetadata, Idempotent: true, Inputs: []string{"bucket", "key", "version_id"}, Required: []string{"bucket", "key"}, Output: metadataOutput(),
			Doc: "Tells about an object without its content."},
		{Name: cmdDownload, Idempotent: true, Required: []string{"bucket", "key"}, Output: downloadOutput(),
			Inputs: []string{"bucket", "key", "version_id", "range", "file"},
			Doc:    "Downloads an object into a file of any size, or up to 16 MiB into the output."},
		{Name: cmdUpload, Idempotent: true, Required: []string{"bucket", "key"}, Output: uploadOutput(),
			Inputs: append([]string{"bucket", "key", "file", "content", "content_base64", "only_if_absent", "only_if_etag"}, object...),
			Doc:    "Uploads a file, a text or bytes as an object."},
		{Name: cmdDelete, Idempotent: true, Required: []string{"bucket"}, Output: deleteOutput(),
			Inputs: []string{"bucket", "key", "version_id", "keys", "prefix", "all_versions", "dry_run", "limit"},
			Doc:    "Deletes one object, those of a list of keys, or all with a prefix. What is not there counts as deleted."},
		{Name: cmdCopy, Idempotent: true, Inputs: copying, Required: []string{"bucket", "key", "to_key"}, Output: copyOutput(),
			Doc: "Copies an object within the service. Its metadata go with it, unless some are given here."},
		{Name: cmdMove, Inputs: copying, Required: []string{"bucket", "key", "to_key"}, Output: copyOutput(),
			Doc: "Copies an object and then deletes the original."},
		{Name: cmdPresign, Idempotent: true, Inputs: []string{"bucket", "key", "version_id", "method", "expires", "content_type"}, Required: []string{"bucket", "key"}, Output: presignOutput(),
			Doc: "Makes a URL with which anyone can download or upload the object for a while. It is shown nowhere, like a secret; the flow gets it."},
		{Name: cmdVersions, Idempotent: true, Inputs: []string{"bucket", "prefix", "key", "limit"}, Required: []string{"bucket"}, Output: versionsOutput(),
			Doc: "Lists the versions of one object, or of all with a prefix, newest first."},
		{Name: cmdSync, Idempotent: true, Required: []string{"bucket", "folder", "direction"}, Output: syncOutput(),
			Inputs: append([]string{"bucket", "prefix", "folder", "direction", "compare", "delete", "dry_run", "limit"}, object...),
			Doc:    "Makes the objects with a prefix like the files of a directory, or the other way round, by transferring what differs."},
		{Name: cmdCreateBucket, Idempotent: true, Inputs: []string{"bucket", "versioning"}, Required: []string{"bucket"}, Output: bucketOutput("created"),
			Doc: "Creates a bucket in the region. One that is there already and is yours is left as it is."},
		{Name: cmdDeleteBucket, Inputs: []string{"bucket"}, Required: []string{"bucket"}, Output: bucketOutput("deleted"),
			Doc: "Deletes an empty bucket."},
		{Name: cmdAbortUploads, Idempotent: true, Inputs: []string{"bucket", "prefix", "older_than", "dry_run", "limit"}, Required: []string{"bucket"}, Output: abortOutput(),
			Doc: "Ends uploads in parts that were begun and never completed, whoever began them: their parts are seen in no list and cost as much as objects. " +
				"weir ends its own; what is left is that of an upload whose files directory was lost with it."},
	}
}

// objectOutput is what is told of every object.
func objectOutput(more ...tasks.OutputField) []tasks.OutputField {
	return slices.Concat([]tasks.OutputField{
		{Name: "bucket", Type: schema.String, Doc: "The bucket."},
		{Name: "key", Type: schema.String, Doc: "The object's key."},
		{Name: "size", Type: schema.Int, Doc: "Its bytes."},
		{Name: "etag", Type: schema.String, Doc: "Its ETag, without quotes."},
		{Name: "version_id", Type: schema.String, Doc: "Its version; left out if the bucket keeps none."},
	}, more)
}

func bucketsOutput() []tasks.OutputField {
	return []tasks.OutputField{
		{Name: "buckets", Type: schema.List, Doc: "Each bucket's `name`, when it was `created`, and its `region` if the server tells."},
		{Name: "count", Type: schema.Int, Doc: "How many there are."},
	}
}

func listOutput() []tasks.OutputField {
	return []tasks.OutputField{
		{Name: "entries", Type: schema.List, Doc: "Each entry's `type` (object or folder), `key`, and `name` without the prefix's folder; of objects also `size`, `modified`, `etag` and `storage_class`. Left out with file."},
		{Name: "count", Type: schema.Int, Doc: "How many entries there are."},
		{Name: "size", Type: schema.Int, Doc: "How many bytes the objects have."},
		{Name: "truncated", Type: schema.Bool, Doc: "Whether there are more."},
		{Name: "next", Type: schema.String, Doc: "The start_after for what is left; left out if there are no more."},
		{Name: "scanned", Type: schema.Int, Doc: "How many entries a search with contains has read; left out without one."},
		{Name: "file", Type: schema.String, Doc: "The file with the entries."},
	}
}

func metadataOutput() []tasks.OutputField {
	return objectOutput(
		tasks.OutputField{Name: "modified", Type: schema.String, Doc: "When it was written, as 2026-01-31T08:00:00Z."},
		tasks.OutputField{Name: "content_type", Type: schema.String, Doc: "Its media type."},
		tasks.OutputField{Name: "content_encoding", Type: schema.String, Doc: "How its content is encoded."},
		tasks.OutputField{Name: "content_disposition", Type: schema.String, Doc: "How a browser presents it."},
		tasks.OutputField{Name: "cache_control", Type: schema.String, Doc: "How long it may be cached."},
		tasks.OutputField{Name: "metadata", Type: schema.Map, Doc: "Its own metadata."},
		tasks.OutputField{Name: "checksums", Type: schema.Map, Doc: "Its checksums in base64, by algorithm, and the `type`."},
		tasks.OutputField{Name: "storage_class", Type: schema.String, Doc: "How it is stored."},
		tasks.OutputField{Name: "encryption", Type: schema.String, Doc: "How the server encrypted it."},
		tasks.OutputField{Name: "kms_key_id", Type: schema.String, Doc: "The key that it was encrypted with."},
	)
}

func downloadOutput() []tasks.OutputField {
	return append(metadataOutput(),
		tasks.OutputField{Name: "file", Type: schema.String, Doc: "The file that was written."},
		tasks.OutputField{Name: "content", Type: schema.String, Doc: "The content, if it is text in UTF-8; left out with file."},
		tasks.OutputField{Name: "content_base64", Type: schema.String, Doc: "The content in base64; left out with file."},
		tasks.OutputField{Name: "range", Type: schema.String, Doc: "Which bytes were downloaded, if a range was given, as `0-99/1000`."},
		tasks.OutputField{Name: "resumed", Type: schema.Int, Doc: "How many bytes were there from an interrupted try; left out if none were."},
	)
}

func uploadOutput() []tasks.OutputField {
	return objectOutput(
		tasks.OutputField{Name: "content_type", Type: schema.String, Doc: "Its media type."},
		tasks.OutputField{Name: "resumed", Type: schema.Int, Doc: "How many bytes were there from an interrupted try; left out if none were."},
	)
}

func deleteOutput() []tasks.OutputField {
	return []tasks.OutputField{
		{Name: "count", Type: schema.Int, Doc: "How many were deleted, or would be."},
		{Name: "keys", Type: schema.List, Doc: "With dry_run, the keys that would be deleted, as many as limit allows."},
		{Name: "dry_run", Type: schema.Bool, Doc: "Whether nothing was deleted."},
	}
}

func abortOutput() []tasks.OutputField {
	return []tasks.OutputField{
		{Name: "count", Type: schema.Int, Doc: "How many were ended, or would be."},
		{Name: "uploads", Type: schema.List, Doc: "With dry_run, each upload's `key`, `upload_id` and when it was `begun`, as many as limit allows."},
		{Name: "dry_run", Type: schema.Bool, Doc: "Whether nothing was ended."},
	}
}

func copyOutput() []tasks.OutputField {
	return objectOutput(
		tasks.OutputField{Name: "source", Type: schema.String, Doc: "Where it was copied from, as bucket/key."},
	)
}

func presignOutput() []tasks.OutputField {
	return []tasks.OutputField{
		{Name: "url", Type: schema.String, Doc: "The URL. Whoever has it needs nothing else."},
		{Name: "method", Type: schema.String, Doc: "The HTTP method to use: GET or PUT."},
		{Name: "headers", Type: schema.Map, Doc: "The headers to send with it; left out if there are none."},
		{Name: "expires", Type: schema.String, Doc: "Until when it is valid, as 2026-01-31T08:00:00Z."},
	}
}

func versionsOutput() []tasks.OutputField {
	return []tasks.OutputField{
		{Name: "versions", Type: schema.List, Doc: "Each version's `key`, `version_id`, `latest`, `deleted`, `modified`, and unless it marks a deletion `size` and `etag`."},
		{Name: "count", Type: schema.Int, Doc: "How many there are."},
		{Name: "truncated", Type: schema.Bool, Doc: "Whether there are more."},
	}
}

func syncOutput() []tasks.OutputField {
	return []tasks.OutputField{
		{Name: "transferred", Type: schema.Int, Doc: "How many files were transferred, or would be."},
		{Name: "size", Type: schema.Int, Doc: "How many bytes they have."},
		{Name: "deleted", Type: schema.Int, Doc: "How many were deleted, or would be."},
		{Name: "unchanged", Type: schema.Int, Doc: "How many were the same already."},
		{Name: "skipped", Type: schema.List, Doc: "What cannot be transferred, as `name` and `reason`; left out if there is none."},
		{Name: "plan", Type: schema.List, Doc: "With dry_run, each `action` (upload, download, delete), its `name` and the `reason`, as many as limit allows."},
		{Name: "dry_run", Type: schema.Bool, Doc: "Whether nothing was done."},
	}
}

func bucketOutput(done string) []tasks.OutputField {
	return []tasks.OutputField{
		{Name: "bucket", Type: schema.String, Doc: "The bucket."},
		{Name: done, Type: schema.Bool, Doc: "Whether it was " + done + "; false if there was nothing to do."},
	}
}
