package hls

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/Eyevinn/hls-m3u8/m3u8"
)

// tracksOf lists what a multivariant playlist leads to; each once.
func tracksOf(master *m3u8.MasterPlaylist, at *url.URL) ([]Track, []string, error) {
	var tracks []Track
	var targets []string
	var queries []string
	seen := make(map[string]bool)
	add := func(uri string, t Track) error {
		if uri == "" {
			return nil // a rendition without a URI is inside the variants
		}
		target, path, query, err := resolve(at, uri)
		if err != nil {
			return err
		}
		full := path + "?" + query
		if seen[full] {
			return nil
		}
		seen[full] = true
		if len(tracks) == maxTracks {
			return fmt.Errorf("it has more than %d variants and renditions", maxTracks)
		}
		t.URI, t.Away = path, target == ""
		tracks, targets, queries = append(tracks, t), append(targets, target), append(queries, query)
		return nil
	}
	for _, v := range master.Variants {
		if v == nil || v.Iframe {
			continue // for seeking in pictures; no player needs them to play
		}
		if v.URI == "" {
			return nil, nil, errors.New("a variant has no URI")
		}
		if err := add(v.URI, Track{Kind: "variant", Resolution: v.Resolution, Codecs: v.Codecs}); err != nil {
			return nil, nil, err
		}
	}
	for _, v := range master.Variants {
		if v == nil {
			continue
		}
		for _, a := range v.Alternatives {
			if err := add(a.URI, Track{Kind: strings.ToLower(a.Type)}); err != nil {
				return nil, nil, err
			}
		}
	}
	if len(tracks) == 0 {
		return nil, nil, errors.New("it has no variant")
	}
	tellApart(tracks, queries)
	return tracks, targets, nil
}

// maxTelling is the longest value of a parameter by which tracks are told apart: what
// is longer is a token, which is another one in the next look.
const maxTelling = 16

// tellApart gives tracks that share a path what else they are known by: the
// parameter of their queries that is another one for each, or, without such a
// parameter, their place. Other tracks stay known by their path alone, whatever
// tokens their queries hold.
func tellApart(tracks []Track, raw []string) {
	queries := make([]url.Values, len(raw))
	for i := range raw {
		queries[i], _ = url.ParseQuery(raw[i]) // what is no parameter tells nothing
	}
	same := make(map[string][]int) // tracks by path
	for i := range tracks {
		same[tracks[i].URI] = append(same[tracks[i].URI], i)
	}
	for path, list := range same {
		if len(list) == 1 {
			continue
		}
		name, named := telling(list, queries)
		for place, i := range list {
			if named {
				tracks[i].URI = path + "?" + url.Values{name: queries[i][name]}.Encode()
			} else {
				tracks[i].URI = fmt.Sprintf("%s#%d", path, place+1)
			}
		}
	}
}

// telling finds the first parameter, by name, that is another one for each of a
// list of queries.
func telling(list []int, queries []url.Values) (name string, found bool) {
	for _, name := range slices.Sorted(maps.Keys(queries[list[0]])) {
		values := make(map[string]bool)
		for _, i := range list {
			if v := queries[i][name]; len(v) == 1 && len(v[0]) <= maxTelling {
				values[v[0]] = true
			}
		}
		if len(values) == len(list) {
			return name, true
		}
	}
	return "", false
}

// resolve returns what to ask the upstream for, which is nothing if a URI leads
// to another server, the path that it is known by, and its query.
func resolve(at *url.URL, uri string) (target, path, query string, err error) {
	u, err := at.Parse(uri)
	if err != nil {
		return "", "", "", errors.New("a URI in it is none")
	}
	if !own(u, at.Host) {
		return "", u.Scheme + "://" + u.Host + u.Path, u.RawQuery, nil
	}
	return u.RequestURI(), u.Path, u.RawQuery, nil
}

// own says whether a URL leads to the server that is asked by the name of host.
// Whether by TLS, and at which of the usual ports, is decided before it by
// whatever makes that server public.
func own(u *url.URL, host string) bool {
	is := &url.URL{Host: host}
	return (u.Scheme == "http" || u.Scheme == "https") && u.Opaque == "" && u.User == nil &&
		strings.EqualFold(u.Hostname(), is.Hostname()) && port(u) == port(is)
}

// port is that of a URL, if it is not one of the usual.
func port(u *url.URL) string {
	if p := u.Port(); p != "80" && p != "443" {
		return p
	}
	return ""
}
