// Package mediaedge takes media off the application: it says which requests
// are for media, and of which kind, so that they can go straight to a CDN or
// a bucket. It knows neither Caddy nor colors; mediaedge/sign makes the URLs
// and cookies that a CDN or a bucket accepts.
//
// A Matcher is made of rules and looks at hosts and canonical paths only:
//
//	m, err := mediaedge.New(mediaedge.Rule{
//		Hosts:    []string{"media.example.com"},
//		Prefixes: []string{"/vod/"},
//		Sets:     []mediaedge.Set{mediaedge.HLS, mediaedge.CMAF},
//	})
//	…
//	found, ok, err := m.Match(r.Host, r.URL)
//	switch {
//	case err != nil: // answer 400: the path has a second reading
//	case !ok: // not media: on to the application
//	default: // found.Path, found.Type.Kind
//	}
//
// What a rule matched is the canonical path, and that path, never what the
// client wrote, is what is signed, cached and asked of the origin. So no
// spelling of an application's path reaches the bucket, and no spelling of a
// media path slips past its rule.
package mediaedge
