package app

import (
	"fmt"
	"slices"
)

// Version is what a release of the app is, with which schemas it works, and what
// it does otherwise than the one before.
type Version struct {
	Name string `json:"version"`
	// SchemaMin and SchemaMax are the versions of the schema that it works with,
	// both included: what /schema answers, and Greenroom's schema gate reads.
	SchemaMin int64 `json:"schema_min"`
	SchemaMax int64 `json:"schema_max"`

	titles func() titles
	// recommends is the new feature of v3.
	recommends bool
}

// Versions are the releases, oldest first. All are in one binary, so that an
// example needs to build one; in earnest each would be a build of its own.
var Versions = []Version{
	// Knows length_text.
	{Name: "v1", SchemaMin: 1, SchemaMax: 3, titles: func() titles { return titlesV1{} }},
	// Writes duration_ms and length_text, and does without the latter when it is gone.
	{Name: "v2", SchemaMin: 2, SchemaMax: 4, titles: func() titles { return new(titlesV2) }},
	// Recommends titles, and fails for viewers who have not played any: a release that
	// looks good to its health checks, and to those who made it.
	{Name: "v3", SchemaMin: 2, SchemaMax: 4, titles: func() titles { return new(titlesV2) }, recommends: true},
}

// Named returns a version by its name.
func Named(name string) (Version, error) {
	i := slices.IndexFunc(Versions, func(v Version) bool { return v.Name == name })
	if i < 0 {
		return Version{}, fmt.Errorf("there is no version %q of the app: v1, v2 or v3", name)
	}
	return Versions[i], nil
}
