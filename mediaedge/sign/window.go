package sign

import (
	"fmt"
	"time"
)

// DefaultBucket is the time for which viewers share a URL.
const DefaultBucket = 300 * time.Second

// Window cuts time into buckets. All who ask within one bucket are given the
// same times, so the same URL, of which a CDN keeps one copy. The zero value
// is buckets of DefaultBucket, with a life of two.
type Window struct {
	// Bucket is at least a second, in whole seconds. Zero: DefaultBucket.
	Bucket time.Duration

	// Life is from the bucket's beginning to the expiry, in whole seconds, at
	// least two buckets: what is handed out at a bucket's very end then still
	// lives for one. Zero: two buckets.
	Life time.Duration
}

// Check reports what is wrong with the window.
func (w Window) Check() error {
	bucket, life := w.defaults()
	switch {
	case bucket < time.Second || bucket%time.Second != 0:
		return fmt.Errorf("a bucket of %v: want whole seconds, at least one", bucket)
	case life%time.Second != 0 || life < 2*bucket:
		return fmt.Errorf("a life of %v: want whole seconds, at least two buckets of %v", life, bucket)
	}
	return nil
}

// Grant returns a grant with the times of the bucket that now is in; what else
// it is to say is the caller's. From now it has left more than a life less a
// bucket, and at most a life. A window that Check refuses is mended.
func (w Window) Grant(now time.Time) Grant {
	bucket, life := w.defaults()
	bucket = max(bucket.Truncate(time.Second), time.Second)
	life = max(life.Truncate(time.Second), 2*bucket)
	seconds, size := now.Unix(), int64(bucket/time.Second)
	issued := time.Unix(seconds-((seconds%size)+size)%size, 0).UTC()
	return Grant{Issued: issued, Expiry: issued.Add(life)}
}

func (w Window) defaults() (bucket, life time.Duration) {
	bucket, life = w.Bucket, w.Life
	if bucket == 0 {
		bucket = DefaultBucket
	}
	if life == 0 {
		life = 2 * bucket
	}
	return bucket, life
}
