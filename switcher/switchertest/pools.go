package switchertest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// SamePools compares what a source may tell in different ways: the order of the
// upstreams, no weight or the default one, no metadata or empty ones.
func SamePools(a, b switcher.Pools) bool {
	for _, c := range switcher.Colors {
		same := slices.EqualFunc(byAddress(a.Of(c)), byAddress(b.Of(c)), func(x, y switcher.Upstream) bool {
			return x.Address == y.Address && max(x.Weight, 1) == max(y.Weight, 1) && maps.Equal(x.Meta, y.Meta)
		})
		if !same {
			return false
		}
	}
	return true
}

func byAddress(list []switcher.Upstream) []switcher.Upstream {
	return slices.SortedFunc(slices.Values(list), func(a, b switcher.Upstream) int {
		return cmp.Compare(a.Address, b.Address)
	})
}

func sameReport(a, b Report) bool {
	if a.Err != nil && b.Err != nil {
		return a.Err.Error() == b.Err.Error()
	}
	return a.Err == nil && b.Err == nil && SamePools(a.Pools, b.Pools)
}

// CheckReports names the rule that what one Run told has broken: the same
// content is not told twice in a row, nor the same failure, a failure has words,
// and pools are valid.
func CheckReports(reports []Report) error {
	for i, r := range reports {
		switch {
		case i > 0 && sameReport(reports[i-1], r):
			return fmt.Errorf("report %d repeats the one before it: %v", i, r)
		case r.Err != nil && r.Err.Error() == "":
			return fmt.Errorf("report %d is a failure without words", i)
		case r.Err == nil:
			if err := switcher.ValidatePools(r.Pools); err != nil {
				return fmt.Errorf("report %d: %w", i, err)
			}
		}
	}
	return nil
}

// poolsOf makes pools of so many upstreams, none of which is in both.
func poolsOf(blue, green int) switcher.Pools {
	var p switcher.Pools
	for i := range blue {
		p.Blue = append(p.Blue, switcher.Upstream{Address: fmt.Sprintf("10.0.0.%d:9001", i+1), Weight: 1})
	}
	for i := range green {
		p.Green = append(p.Green, switcher.Upstream{Address: fmt.Sprintf("10.0.1.%d:9001", i+1), Weight: 1})
	}
	return p
}
