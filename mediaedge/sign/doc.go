// Package sign makes URLs and cookies by which a CDN or a bucket lets a
// viewer have media, without asking the edge.
//
//	keys, err := sign.OpenKeys(sign.KeyFile{Path: "/run/secrets/cdn", Encoding: sign.Hex})
//	…
//	signer, err := sign.NewAkamai(keys, sign.AkamaiOptions{Parameter: "hdnts"})
//	…
//	grant := window.Grant(now)
//	grant.PathPrefix = "/vod/42/"
//	signed, err := signer.Sign(ctx, target, grant)
//
// What each scheme can say of a grant; what it cannot is refused:
//
//	             path prefix  cookies  not before  client IP  session
//	S3                -          -         -           -         -
//	CloudFront       yes        yes       yes         IPv4       -
//	CloudCDN         yes        yes        -           -         -
//	Akamai           yes        yes       yes         yes       yes
//	Cloudflare        -          -         -           -         -
//	NGINX             -          -         -          yes        -
//
// A token in a query is for the one URL that it is on: players do not hand it
// on to what a playlist names. A path prefix in a cookie reaches all of a
// stream.
//
// # Key files
//
// A key file holds one key or more, each an id and a secret with spaces
// between them; an empty line, and one that begins with "#", says nothing. A
// key in PEM follows on the lines below its id.
//
//	# the new one signs, the old one is known until its tokens have ended
//	2026-11  c4eb70ad…
//	2026-05  9f31d2aa…
//
// The first key signs, unless KeyFile.SignWith names another. To rotate: add
// the new key at the CDN, then here at the top, and take the old one away from
// both when what it has signed has ended. Keys.Run sees the change; a file
// that is broken changes nothing.
//
// No error, String method or log has a secret in it. A signed URL and its
// cookies are secrets of their own: whoever logs the answer that carries them
// must leave them out.
package sign
