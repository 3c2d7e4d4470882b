package control

import (
	"context"
	"time"
)

// Media is the media edge: what it has cached, and how it fares.
type Media interface {
	// Purge takes out of the cache what q names, which Canonical has
	// returned. What is on its way from an origin meanwhile must not be kept
	// as it was before. An origin that does not exist is an error that wraps
	// switcher.ErrInvalid and names those that do.
	Purge(ctx context.Context, q PurgeRequest) (PurgeResult, error)
	// Media returns a copy. Both return ErrNoMedia if the config in force has
	// no media edge.
	Media(ctx context.Context) (MediaView, error)
}

// ErrNoMedia is answered where there is no media edge; it is a *Problem with
// the code not_found.
var ErrNoMedia error = newProblem(CodeNotFound, "this edge has no media edge: its config has no media_edge")

// SetMedia sets what answers for media. Without it there is none. It must be
// called before the first request.
func (h *Handler) SetMedia(m Media) { h.media = m }

func (h *Handler) readMedia(ctx context.Context) (any, error) {
	if h.media == nil {
		return nil, ErrNoMedia
	}
	return h.media.Media(ctx)
}

// Media returns how the media edge fares.
func (c *Client) Media(ctx context.Context) (MediaView, error) {
	return get[MediaView](ctx, c, "/v1/media")
}

// MediaView is the media edge as it is shown. In JSON, what is empty or 0 is
// left out; the unit of sizes is the byte.
type MediaView struct {
	// Since is when the counts began.
	Since   time.Time     `json:"since,omitzero"`
	Origins []MediaOrigin `json:"origins,omitempty"`
	// Cache is nil where nothing is cached.
	Cache *MediaCache `json:"cache,omitempty"`
	Rules []MediaRule `json:"rules,omitempty"`
}

// MediaOrigin is where media comes from: endpoints that have the same.
type MediaOrigin struct {
	Name      string          `json:"name"`
	Endpoints []MediaEndpoint `json:"endpoints,omitempty"`
	// Requests went to any of them, conditional ones and ranges included.
	Requests uint64 `json:"requests,omitempty"`
	// Failures are requests that none of them has answered as it should.
	Failures uint64 `json:"failures,omitempty"`
	// Failovers are requests that went on to another endpoint before a head
	// had come, and Resumes bodies that went on from another one midway.
	Failovers uint64 `json:"failovers,omitempty"`
	Resumes   uint64 `json:"resumes,omitempty"`
}

// MediaEndpoint is one address of an origin.
type MediaEndpoint struct {
	Address string `json:"address"`
	Healthy bool   `json:"healthy"`
	// Reason is why it is not healthy, or was not the last time.
	Reason   string `json:"reason,omitempty"`
	Requests uint64 `json:"requests,omitempty"`
	Failures uint64 `json:"failures,omitempty"`
}

// MediaCache is what is kept of media. A limit of 0 means that nothing is kept
// there.
type MediaCache struct {
	Objects     int64 `json:"objects,omitempty"`
	MemoryUsed  int64 `json:"memory_used,omitempty"`
	MemoryLimit int64 `json:"memory_limit,omitempty"`
	DiskUsed    int64 `json:"disk_used,omitempty"`
	DiskLimit   int64 `json:"disk_limit,omitempty"`
	// Hits were answered from it without asking an origin, Misses not.
	Hits   uint64 `json:"hits,omitempty"`
	Misses uint64 `json:"misses,omitempty"`
	// Coalesced requests shared the fetch of another one: each has saved the
	// origin a request.
	Coalesced uint64 `json:"coalesced,omitempty"`
	// Evictions made room for others.
	Evictions uint64 `json:"evictions,omitempty"`
	// DiskErrors are files that could not be written or read, or were corrupt.
	DiskErrors uint64 `json:"disk_errors,omitempty"`
}

// HitRatio is the share of hits, 0 to 1; false: nothing has been asked for.
func (c *MediaCache) HitRatio() (ratio float64, known bool) {
	total := float64(c.Hits) + float64(c.Misses)
	if total == 0 {
		return 0, false
	}
	return float64(c.Hits) / total, true
}

// MediaRule is one rule of the config, and what came of it.
type MediaRule struct {
	// Name is short and bounded: the rule's number, from 1, with what it
	// matches.
	Name string `json:"name"`
	// Mode is redirect or proxy, and Origin where it leads to.
	Mode     string `json:"mode"`
	Origin   string `json:"origin,omitempty"`
	Requests uint64 `json:"requests,omitempty"`
	// Bytes of body that the edge itself has sent.
	Bytes uint64 `json:"bytes,omitempty"`
	// Sessions have reported by CMCD (CTA-5004), and Starved are those of
	// them whose buffer has run empty at least once.
	Sessions uint64 `json:"sessions,omitempty"`
	Starved  uint64 `json:"starved,omitempty"`
}
