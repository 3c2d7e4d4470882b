package media

import (
	"fmt"
	"slices"
	"strings"

	"github.com/greenroom-proxy/greenroom/mediaedge"
)

// Rule says which requests are for media. All that it names must hold.
type Rule struct {
	// Hosts, as media.example.com, or *.example.com for one more label.
	// Default: all that reach the handler.
	Hosts []string `json:"hosts,omitempty"`

	// Path prefixes, by whole segments: /vod is /vod and what is below it,
	// /vod/ only what is below. Default: all paths.
	Paths []string `json:"paths,omitempty"`

	// Sets of extensions: hls, dash, cmaf, video, audio, images, subtitles.
	// Default: all of them, unless extensions names some.
	Sets []string `json:"sets,omitempty"`

	// More extensions, and what they are.
	Extensions []*Extension `json:"extensions,omitempty"`

	// Match all below the paths, whatever the extension. Default: false.
	All bool `json:"all,omitempty"`
}

// Extension is an extension of the operator's own.
type Extension struct {
	// Without a dot, in lower case.
	Name string `json:"name"`
	// playlist, segment, progressive, image, subtitle or other.
	Kind string `json:"kind"`
	// What it is sent as where the origin says what it cannot be, as
	// application/octet-stream. Default: as it comes.
	ContentType string `json:"content_type,omitempty"`
}

func (r Rule) matcher() (*mediaedge.Matcher, error) {
	rule := mediaedge.Rule{Hosts: r.Hosts, Prefixes: r.Paths, All: r.All}
	for _, s := range r.Sets {
		rule.Sets = append(rule.Sets, mediaedge.Set(s))
	}
	for i, e := range r.Extensions {
		if e == nil {
			return nil, fmt.Errorf("extension %d: it is null: want a name and a kind", i+1)
		}
		if slices.ContainsFunc(r.Extensions[:i], func(other *Extension) bool { return other.Name == e.Name }) {
			return nil, fmt.Errorf("extension %q is given twice", e.Name)
		}
		if strings.ContainsFunc(e.ContentType, func(c rune) bool { return c < ' ' || c > '~' }) || e.ContentType != "" && !strings.Contains(e.ContentType, "/") {
			return nil, fmt.Errorf("extension %q: content type %q: want one as video/mp4", e.Name, e.ContentType)
		}
		kind, err := parseKind(e.Kind)
		if err != nil {
			return nil, fmt.Errorf("extension %q: %w", e.Name, err)
		}
		rule.Types = append(rule.Types, mediaedge.Type{Extension: e.Name, Kind: kind, ContentType: e.ContentType})
	}
	return mediaedge.New(rule)
}

// contains reports whether the directory of a path that matched is within the
// prefixes too: that of /vod, which the prefix /vod matches, is not.
func (r Rule) contains(path string) bool {
	directory := path[:strings.LastIndexByte(path, '/')+1]
	return len(r.Paths) == 0 || slices.ContainsFunc(r.Paths, func(p string) bool {
		return strings.HasPrefix(directory, strings.TrimSuffix(p, "/")+"/")
	})
}

// kinds are all there are.
var kinds = []mediaedge.Kind{
	mediaedge.Other, mediaedge.Playlist, mediaedge.Segment, mediaedge.Progressive, mediaedge.Image, mediaedge.Subtitle,
}

func parseKind(name string) (mediaedge.Kind, error) {
	var all []string
	for _, k := range kinds {
		if k.String() == name {
			return k, nil
		}
		all = append(all, k.String())
	}
	return 0, fmt.Errorf("no kind of media is called %q: want one of %s", name, strings.Join(all, ", "))
}
