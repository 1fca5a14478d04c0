package s3

import (
	"cmp"
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// sortVersions orders by key, and each key's versions from the newest.
func sortVersions(all []version) {
	slices.SortStableFunc(all, func(a, b version) int {
		if c := cmp.Compare(a.key, b.key); c != 0 {
			return c
		}
		if a.latest != b.latest {
			if a.latest {
				return -1
			}
			return 1
		}
		return b.modified.Compare(a.modified)
	})
}

func (s *session) createBucket(ctx context.Context) (map[string]any, error) {
	at := place{bucket: s.in.String("bucket")}
	in := &s3.CreateBucketInput{Bucket: aws.String(at.bucket)}
	if region := s.aws.Region; region != defaultRegion && s.onAWS() {
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(region)}
	}
	created := true
	if _, err := ask(ctx, s, at, (*s3.Client).CreateBucket, in); codeOf(err) == "BucketAlreadyOwnedByYou" {
		created = false
	} else if err != nil {
		return nil, err
	}
	if s.in.Bool("versioning") {
		_, err := ask(ctx, s, at, plainSum(s, (*s3.Client).PutBucketVersioning), &s3.PutBucketVersioningInput{
			Bucket:                  aws.String(at.bucket),
			VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
		})
		if err != nil {
			return nil, err
		}
	}
	return map[string]any{"bucket": at.bucket, "created": created}, nil
}

func (s *session) deleteBucket(ctx context.Context) (map[string]any, error) {
	at := place{bucket: s.in.String("bucket")}
	_, err := ask(ctx, s, at, (*s3.Client).DeleteBucket, &s3.DeleteBucketInput{Bucket: aws.String(at.bucket), ExpectedBucketOwner: s.owner()})
	if err != nil {
		return nil, err
	}
	return map[string]any{"bucket": at.bucket, "deleted": true}, nil
}
