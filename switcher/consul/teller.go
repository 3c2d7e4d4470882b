package consul

import (
	"crypto/sha256"
	"encoding/json"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// teller decides what is news for a sink. The zero value has told nothing.
type teller struct {
	told   bool              // pools have been told
	sum    [sha256.Size]byte // of the pools last told
	failed string            // the failure last told; "" after pools without one
}

// pools reports whether pools are to be told: because they differ from the last
// ones, or because a failure was told since and has passed.
func (t *teller) pools(p switcher.Pools, failure error) bool {
	sum := sumOf(p)
	if t.told && sum == t.sum && (t.failed == "" || failure != nil) {
		return false
	}
	t.told, t.sum, t.failed = true, sum, ""
	return true
}

// failure reports whether err is to be told: because it differs from the last
// one, or because pools were told since.
func (t *teller) failure(err error, updated bool) bool {
	if err == nil || !updated && err.Error() == t.failed {
		return false
	}
	t.failed = err.Error()
	return true
}

// sumOf tells pools apart without keeping what a sink was given. The order of
// upstreams does not count.
func sumOf(p switcher.Pools) [sha256.Size]byte {
	var sorted switcher.Pools
	for _, c := range switcher.Colors {
		*sorted.At(c) = append([]switcher.Upstream{}, p.Of(c)...)
		sortPool(sorted.Of(c))
	}
	text, err := json.Marshal(sorted)
	if err != nil {
		panic("consul: pools do not marshal: " + err.Error()) // strings, numbers and maps always do
	}
	return sha256.Sum256(text)
}
