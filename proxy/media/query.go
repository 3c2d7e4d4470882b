package media

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/greenroom-proxy/greenroom/mediaedge"
	"github.com/greenroom-proxy/greenroom/mediaedge/cmcd"
)

// lowLatency are the parameters of low-latency HLS (RFC 8216bis, §6.2.5), and
// which values they may have. Of others anybody could make any number of
// objects to be fetched and kept.
var lowLatency = map[string]func(value string) bool{"_HLS_msn": digits, "_HLS_part": digits, "_HLS_skip": skips}

func digits(s string) bool {
	return s != "" && len(s) <= 16 && !strings.ContainsFunc(s, func(c rune) bool { return c < '0' || c > '9' })
}

func skips(s string) bool { return s == "YES" || s == "v2" }

// query is what of a request's query goes on.
func (h *Handler) query(r *http.Request, kind mediaedge.Kind) string {
	switch {
	case r.URL.RawQuery == "" || h.Query == nil && kind != mediaedge.Playlist:
		return ""
	case h.Query != nil:
		return pick(r.URL.RawQuery, h.Query, nil)
	}
	return pick(r.URL.RawQuery, []string{"_HLS_msn", "_HLS_part", "_HLS_skip"}, lowLatency)
}

// blocks reports whether the origin may hold its answer back until the playlist
// has what is named (RFC 8216bis §6.2.5.2).
func blocks(kind mediaedge.Kind, query string) bool {
	if kind != mediaedge.Playlist || query == "" {
		return false
	}
	v, err := url.ParseQuery(query)
	return err == nil && v.Has("_HLS_msn")
}

// pick returns the named parameters of a query, encoded in one way and sorted,
// so that no spelling is another object. Of one that is there twice the first
// counts; what cannot be read, or is not as valid has it, is left out.
func pick(rawQuery string, names []string, valid map[string]func(string) bool) string {
	all, _ := url.ParseQuery(cmcd.Strip(rawQuery))
	picked := make(url.Values)
	for _, n := range names {
		if v := all[n]; len(v) > 0 && (valid[n] == nil || valid[n](v[0])) {
			picked[n] = v[:1]
		}
	}
	return picked.Encode()
}

// checkQuery refuses names that no query has as they are.
func checkQuery(names []string) error {
	plain := func(c rune) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-._~", c)
	}
	for i, n := range names {
		switch {
		case n == "" || len(n) > 64 || strings.ContainsFunc(n, func(c rune) bool { return !plain(c) }):
			return fmt.Errorf("query: %q is no name of a parameter: want 1 to 64 letters, digits and -._~", n)
		case n == cmcd.Parameter:
			return errors.New("query: CMCD is what players say of themselves, and never goes on: leave it out")
		case slices.Contains(names[:i], n):
			return fmt.Errorf("query: %q is given twice", n)
		}
	}
	if len(names) > 32 {
		return fmt.Errorf("query: there are %d names: want at most 32", len(names))
	}
	return nil
}
