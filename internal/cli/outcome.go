package cli

import (
	"strconv"
	"strings"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// outcome is what came of a move, as --json prints it.
type outcome struct {
	Command string `json:"command"`
	// ID of the move; empty where nothing was to be done.
	ID      string `json:"id,omitempty"`
	Changed bool   `json:"changed"`
	// Result is how the move ended; empty where that was not waited for.
	Result switcher.Result `json:"result,omitempty"`
	Detail string          `json:"detail,omitempty"`
	// Took is the whole move, Drained its drain.
	Took     switcher.Duration `json:"took,omitempty"`
	Drained  switcher.Duration `json:"drained,omitempty"`
	Services []serviceOutcome  `json:"services,omitempty"`
}

// serviceOutcome is where the move has left one service.
type serviceOutcome struct {
	Name       string         `json:"name"`
	Generation uint64         `json:"generation"`
	Phase      switcher.Phase `json:"phase"`
	Active     switcher.Color `json:"active"`
	Split      switcher.Split `json:"split"`
	// Idle is the color that is not active, Inflight what runs on it still.
	Idle       switcher.Color `json:"idle"`
	Inflight   int64          `json:"inflight"`
	SafeToStop bool           `json:"safe_to_stop"`
	// Evicted counts what was cut at the deadline of the drain.
	Evicted int `json:"evicted"`
	// Warnings are what the edge has to say of the service: first of all, that
	// the move went through but could not be stored.
	Warnings []string `json:"warnings,omitempty"`
}

func outcomeOf(v *switcher.ServiceView, e ending) serviceOutcome {
	idle := v.Active.Other()
	return serviceOutcome{
		Name: v.Name, Generation: v.Generation, Phase: v.Phase, Active: v.Active, Split: v.Split,
		Idle: idle, Inflight: v.Pool(idle).Inflight, SafeToStop: v.Pool(idle).SafeToStop, Evicted: e.evicted,
		Warnings: v.Warnings,
	}
}

// warnings are what stands below the line that says where a service is now.
func warnings(v *switcher.ServiceView) (lines []line) {
	for _, w := range v.Warnings {
		lines = append(lines, line{{warn, "  warning: "}, {plain, w}})
	}
	return lines
}

// finalLine says where an ended move has left a service, and whether the
// other color may be stopped. Of a move that never moved traffic it does not
// speak of stopping anything.
func finalLine(v *switcher.ServiceView, f *follow) line {
	e := f.endings[v.Name]
	l := line{{bold, v.Name}, {plain, ": "}}
	if v.Phase == switcher.Steady {
		l = append(l, inked(v.Active)).add(plain, " serves 100%% (generation %d)", v.Generation)
	} else { // another move has begun meanwhile
		l = l.add(plain, "%s, %s (generation %d)", v.Phase, v.Split, v.Generation)
	}
	if e.result == switcher.ResultRefused || e.heard && f.drained == 0 && e.result != switcher.ResultDone {
		return l.add(plain, ", as before.")
	}
	idle := v.Active.Other()
	l = l.add(plain, ". ").join(line{inked(idle)})
	pool := v.Pool(idle)
	if !pool.SafeToStop {
		return l.add(plain, " is ").add(warn, "not safe to stop").add(plain, ": %d in-flight.", pool.Inflight)
	}
	l = l.add(plain, " is ").add(good, "safe to stop").add(plain, ": %d in-flight", pool.Inflight)
	if e.counted {
		l = l.add(plain, ", %d cut", e.evicted)
	}
	if f.drained > 0 {
		l = l.add(plain, ", drained in %s", short(time.Duration(f.drained)))
	}
	return l.add(plain, ".")
}

// already is what most moves say where nothing was to be done.
func already(what string) func(*switcher.ServiceView) line {
	return func(v *switcher.ServiceView) line {
		return line{{bold, v.Name}}.add(plain, ": %s, nothing to do", what)
	}
}

// begun is what a move says once the edge has taken it.
func begun(verb string) func(*switcher.ServiceView) line {
	return func(v *switcher.ServiceView) line {
		return line{{bold, v.Name}}.add(plain, ": %s taken: %s, %s (generation %d). Follow it with: greenroom watch %s",
			verb, v.Phase, v.Split, v.Generation, v.Name)
	}
}

// held says how a service stands still at a split.
func held(v *switcher.ServiceView) line {
	l := line{{bold, v.Name}}.add(plain, ": ").join(splitBar(v.Split, 10))
	return l.add(plain, " %s (generation %d), held there. greenroom resume %s goes on, greenroom abort %s undoes it.",
		v.Split, v.Generation, v.Name, v.Name)
}

// percent reads "25" or "25%".
func percent(s string) (uint8, error) {
	n, err := strconv.ParseUint(strings.TrimSuffix(s, "%"), 10, 8)
	if err != nil || n > 100 {
		return 0, invalid("%q: want a whole number of percent, 0 to 100", s)
	}
	return uint8(n), nil
}
