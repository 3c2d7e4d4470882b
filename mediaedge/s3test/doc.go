// Package s3test runs a real S3 server for tests, on loopback.
//
//	server := s3test.Start(t)
//	server.CreateBucket(t, "media")
//	server.Put(t, "media", "vod/a b.mp4", file, size)
//	keys, err := sign.OpenKeys(sign.KeyFile{Path: server.KeyFile(t)})
//	…
//	want := server.Get(t, "media", "vod/a b.mp4")
//
// The server is Versity's S3 gateway over a directory, a Go tool of the module
// internal/tools/s3, which Go builds once (a minute or two) and caches. Under
// -short, tests that need it are skipped.
//
// It checks SigV4 in headers and in presigned URLs, and keeps buckets private.
// As MinIO does, it ignores If-Range, answers a request for several ranges with
// the whole object, says no length with a 416, and answers a Range on HEAD with
// 206. Unlike S3 it says that a key is missing to who may not list the bucket,
// and takes a presigned URL whose time is to come. This package's tests hold
// fast all but the last.
//
// Buckets are reached by path, and as a name below "localhost", which not every
// resolver knows: [Server.DialContext] is for clients that ask so, and
// [StartBelow] with [Numeric] for other processes. Put and Get
// ask by AWS's own client, which is in Server.API.
//
// The server is a child of the test's process, and dies with it (on Linux,
// however the process ends). Helpers fail the test themselves.
package s3test
