package media

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/greenroom-proxy/greenroom/mediaedge"
	"github.com/greenroom-proxy/greenroom/mediaedge/cache"
)

// Keeping says how long what comes from the origin is kept, where the origin
// does not say so itself. The keys are kinds of media: playlist, segment,
// progressive, image, subtitle, other.
//
// The origin's word counts first: CDN-Cache-Control, then s-maxage and max-age
// of Cache-Control, then Expires.
type Keeping struct {
	// Keep nothing: each request goes to the origin by itself. Default: false.
	Off bool `json:"off,omitempty"`

	// Kinds that are not kept. Default: none.
	Bypass []string `json:"bypass,omitempty"`

	// How long an object is fresh. Default: playlist 1s, segment and
	// progressive 1h, image and subtitle 10m, other 1m.
	TTL map[string]caddy.Duration `json:"ttl,omitempty"`

	// For how long more it is sent if the origin fails (RFC 5861). Default:
	// playlist 6s, all others 24h.
	StaleIfError map[string]caddy.Duration `json:"stale_if_error,omitempty"`

	// For how long more it is sent at once, while it is asked for again
	// (RFC 5861). Default: playlist 0, all others 1m.
	StaleWhileRevalidate map[string]caddy.Duration `json:"stale_while_revalidate,omitempty"`

	// How long a 404 or 410 is kept, so that players that ask for a segment
	// that is not there yet do not all reach the origin. Up to 1m.
	// Default: 1s; 0 is written as 1ns in the JSON.
	Negative caddy.Duration `json:"negative,omitempty"`

	bypass [kindCount]bool
	terms  [kindCount]cache.Terms
}

const kindCount = int(mediaedge.Subtitle) + 1

var defaults = [kindCount]cache.Terms{
	mediaedge.Playlist:    {TTL: time.Second, StaleIfError: 6 * time.Second, Small: true},
	mediaedge.Segment:     {TTL: time.Hour, StaleIfError: 24 * time.Hour, StaleWhileRevalidate: time.Minute, Immutable: true},
	mediaedge.Progressive: {TTL: time.Hour, StaleIfError: 24 * time.Hour, StaleWhileRevalidate: time.Minute},
	mediaedge.Image:       {TTL: 10 * time.Minute, StaleIfError: 24 * time.Hour, StaleWhileRevalidate: time.Minute},
	mediaedge.Subtitle:    {TTL: 10 * time.Minute, StaleIfError: 24 * time.Hour, StaleWhileRevalidate: time.Minute},
	mediaedge.Other:       {TTL: time.Minute, StaleIfError: 24 * time.Hour, StaleWhileRevalidate: time.Minute},
}

func (k *Keeping) provision() error {
	k.terms = defaults
	for _, name := range k.Bypass {
		kind, err := parseKind(name)
		if err != nil {
			return fmt.Errorf("cache: bypass: %w", err)
		}
		k.bypass[kind] = true
	}
	for _, field := range []struct {
		name   string
		values map[string]caddy.Duration
		low    time.Duration
		into   func(*cache.Terms) *time.Duration
	}{
		{"ttl", k.TTL, time.Millisecond, func(t *cache.Terms) *time.Duration { return &t.TTL }},
		{"stale_if_error", k.StaleIfError, 0, func(t *cache.Terms) *time.Duration { return &t.StaleIfError }},
		{"stale_while_revalidate", k.StaleWhileRevalidate, 0, func(t *cache.Terms) *time.Duration { return &t.StaleWhileRevalidate }},
	} {
		for _, name := range slices.Sorted(maps.Keys(field.values)) {
			kind, err := parseKind(name)
			if err != nil {
				return fmt.Errorf("cache: %s: %w", field.name, err)
			}
			value := time.Duration(field.values[name])
			if value < field.low || value > maxKeeping {
				return fmt.Errorf("cache: %s %s is %v: want %v to %v", field.name, name, value, field.low, maxKeeping)
			}
			*field.into(&k.terms[kind]) = value
		}
	}
	negative := time.Second
	if k.Negative != 0 {
		negative = time.Duration(k.Negative)
	}
	if negative < 0 || negative > time.Minute {
		return fmt.Errorf("cache: negative is %v: want 0 to 1m: a segment that is not there yet soon will be", negative)
	}
	for i := range k.terms {
		k.terms[i].Negative = negative
	}
	return nil
}

// maxKeeping is the longest that anything is kept by the config's word.
const maxKeeping = 365 * 24 * time.Hour

// keeps reports whether media of the kind is kept.
func (k *Keeping) keeps(kind mediaedge.Kind) bool { return !k.Off && !k.bypass[kind] }
