package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/greenroom-proxy/greenroom/internal/plainpath"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// PurgeRequest names what is to be taken out of the cache of media: either one
// path, in all its variants and ranges, or all below a prefix. Of its Request
// only the reason is used.
type PurgeRequest struct {
	switcher.Request
	// Path has one reading, as that of a request for media: it may be written
	// as in a URL or decoded.
	Path string `json:"path,omitempty"`
	// Prefix is of whole segments: it ends in a slash.
	Prefix string `json:"prefix,omitempty"`
	// All is needed beside the prefix "/", which is everything.
	All bool `json:"all,omitempty"`
	// Origin limits it to what came from there; empty: from all of them.
	Origin string `json:"origin,omitempty"`
}

// maxPurgePath is that of a path or prefix in bytes, as it is written: three
// times as long as a key in a bucket can be.
const maxPurgePath = 3 << 10

// Canonical returns q with its path or prefix decoded, or an error that wraps
// switcher.ErrInvalid and says what is wrong with q.
func (q PurgeRequest) Canonical() (PurgeRequest, error) {
	fail := func(format string, args ...any) (PurgeRequest, error) {
		return PurgeRequest{}, fmt.Errorf("%w: %w", switcher.ErrInvalid, fmt.Errorf(format, args...))
	}
	if (q.Path == "") == (q.Prefix == "") {
		return fail(`want either "path" or "prefix"`)
	}
	field, written := "path", &q.Path
	if q.Prefix != "" {
		field, written = "prefix", &q.Prefix
	}
	if n := len(*written); n > maxPurgePath {
		return fail("%q has %d bytes: at most %d", field, n, maxPurgePath)
	}
	canonical, err := plainpath.Canonical(*written)
	if err != nil {
		return fail("%q %.200q: %w", field, *written, err)
	}
	*written = canonical
	switch {
	case q.Prefix != "" && !strings.HasSuffix(q.Prefix, "/"):
		return fail("%q %.200q: want whole segments, so a slash at the end", field, q.Prefix)
	case q.Prefix == "/" && !q.All:
		return fail(`"prefix" "/" is all that is cached: it wants "all":true beside it`)
	case q.All && q.Prefix != "/":
		return fail(`"all" goes with the prefix "/" only`)
	case q.Origin != "" && !canBeName(q.Origin):
		return fail("%q %.200q: want a name of 1 to %d bytes without control characters", "origin", q.Origin, maxName)
	}
	return q, nil
}

// PurgeResult is what a purge has dropped.
type PurgeResult struct {
	// Dropped is how many objects are gone; 0: nothing of the kind was cached.
	Dropped int `json:"dropped"`
	// Origins are those they came from, without those that had none.
	Origins []PurgedOrigin `json:"origins,omitempty"`
}

// PurgedOrigin is what a purge has dropped of one origin's.
type PurgedOrigin struct {
	Name    string `json:"name"`
	Dropped int    `json:"dropped"`
}

func preparePurge(h *Handler) *call {
	request := new(PurgeRequest)
	return &call{
		request: request, base: &request.Request,
		check: func() (err error) {
			*request, err = request.Canonical()
			return err
		},
		do: func(ctx context.Context) (any, error) {
			if h.media == nil {
				return nil, ErrNoMedia
			}
			return h.media.Purge(ctx, *request)
		},
	}
}

// Purge takes media out of the cache.
func (c *Client) Purge(ctx context.Context, q PurgeRequest) (PurgeResult, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return PurgeResult{}, err
	}
	return decode[PurgeResult](c.do(ctx, http.MethodPost, "/v1/purge", body))
}
