package s3

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/weir-engine/weir/tasks"
)

func (s *session) checkAbortUploads() error {
	if s.in.Duration("older_than") < 0 {
		return &tasks.Error{Kind: tasks.Invalid, Input: "older_than", Message: "older_than is negative"}
	}
	return nil
}

// abortUploads ends the uploads in parts that nobody completed. There is no telling
// whose they are, so that their age alone decides.
func (s *session) abortUploads(ctx context.Context) (map[string]any, error) {
	bucket, dry, limit := s.in.String("bucket"), s.in.Bool("dry_run"), s.in.Int("limit")
	before := time.Now().Add(-s.in.Duration("older_than"))
	var count int64
	var done atomic.Int64
	found := []any{}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(s.concurrency)
	err := s.uploads(groupCtx, bucket, s.in.String("prefix"), func(key, id string, begun time.Time) {
		if begun.After(before) {
			return
		}
		count++
		if !dry {
			group.Go(func() error {
				err := s.abortUpload(groupCtx, place{bucket: bucket, key: key}, id, 0)
				s.env.Progress(done.Add(1), 0, "ending uploads in "+bucket)
				return err
			})
		} else if limit == 0 || count <= limit {
			found = append(found, map[string]any{"key": key, "upload_id": id, "begun": timeText(&begun)})
		}
	})
	// The first upload that cannot be ended ends the listing too, and says more.
	if failed := group.Wait(); failed != nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	out := map[string]any{"count": count, "dry_run": dry}
	if dry {
		out["uploads"] = found
	}
	return out, nil
}

// uploads lists the uploads in parts that are not completed.
func (s *session) uploads(ctx context.Context, bucket, prefix string, each func(key, id string, begun time.Time)) error {
	in := &s3.ListMultipartUploadsInput{
		Bucket: aws.String(bucket), Prefix: aws.String(prefix), EncodingType: types.EncodingTypeUrl, ExpectedBucketOwner: s.owner(),
	}
	for {
		out, err := ask(ctx, s, place{bucket: bucket, key: prefix}, (*s3.Client).ListMultipartUploads, in)
		if err != nil {
			return err
		}
		text := plainText
		if out.EncodingType == types.EncodingTypeUrl {
			text = urlText
		}
		for _, u := range out.Uploads {
			each(text(u.Key), aws.ToString(u.UploadId), aws.ToTime(u.Initiated))
		}
		if !aws.ToBool(out.IsTruncated) {
			return nil
		}
		in.KeyMarker, in.UploadIdMarker = aws.String(text(out.NextKeyMarker)), out.NextUploadIdMarker
	}
}

// abortUpload ends an upload in parts. A part that was on its way may arrive after
// the end, and bring the upload back to life: the service is told until there has
// been nothing left for so long.
func (s *session) abortUpload(ctx context.Context, at place, id string, quiet time.Duration) error {
	const pause = 50 * time.Millisecond
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for seen := time.Now(); ; {
		_, err := ask(ctx, s, at, (*s3.Client).AbortMultipartUpload, &s3.AbortMultipartUploadInput{
			Bucket: &at.bucket, Key: &at.key, UploadId: &id, ExpectedBucketOwner: s.owner(),
		})
		switch {
		case err == nil:
			seen = time.Now()
		case codeOf(err) != "NoSuchUpload":
			return err
		case time.Since(seen) >= quiet:
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
