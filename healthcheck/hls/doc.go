// Package hls looks at live HLS streams (RFC 8216) as a player would, one
// upstream at a time, and judges what it has seen: a Looker fetches, Judge and
// Compare are pure functions of Looks. A Trail is what Judge needs of those before
// the latest.
package hls
