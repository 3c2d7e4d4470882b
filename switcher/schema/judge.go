package schema

import (
	"fmt"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// declaration is what one of a color declares.
type declaration struct {
	who string // an address, or "the config"
	Range
}

// misfit says why a version is outside what a color's declarations have in
// common; empty where it is inside. All of them must agree to a version, so that
// the narrowest end counts.
func misfit(c switcher.Color, version int64, list []declaration) string {
	if len(list) == 0 {
		return ""
	}
	low, high := list[0], list[0]
	for _, d := range list[1:] {
		if d.Min > low.Min {
			low = d
		}
		if d.Max < high.Max {
			high = d
		}
	}
	switch {
	case low.Min > high.Max:
		return fmt.Sprintf("no version suits all of %s: %s declares %s, %s %s", c, low.who, low.Range, high.who, high.Range)
	case version < low.Min:
		return fmt.Sprintf("the schema is at version %d, and %s needs %d at least (%s declares %s)", version, c, low.Min, low.who, low.Range)
	case version > high.Max:
		return fmt.Sprintf("the schema is at version %d, and %s works with %d at most (%s declares %s)", version, c, high.Max, high.who, high.Range)
	}
	return ""
}

// judge compares the version with what both colors declare. A version that the
// color that loses traffic could not work with refuses, too: there would be no
// way back. If that comes about in the middle of a ramp, going back is no help.
func judge(p switcher.GateInput, version int64, from, to []declaration) switcher.Verdict {
	wrong, noWayBack := misfit(p.To, version, to), misfit(p.From, version, from)
	v := switcher.Verdict{Decision: switcher.Refuse, Stay: noWayBack != ""}
	switch {
	case wrong != "" && noWayBack != "":
		v.Reason = wrong + "; " + noWayBack
	case wrong != "":
		v.Reason = wrong
	case noWayBack != "":
		v.Reason = noWayBack + ": there would be no way back to it"
	case len(from) == 0:
		return switcher.Verdict{Decision: switcher.Pass, Reason: fmt.Sprintf("version %d suits %s; nobody says what %s works with", version, p.To, p.From)}
	default:
		return switcher.Verdict{Decision: switcher.Pass, Reason: fmt.Sprintf("version %d suits both colors", version)}
	}
	return v
}
