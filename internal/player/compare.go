package player

import (
	"errors"
	"fmt"
)

// Smooth reports whether the stream was played in real time and without a flaw.
// A control run that is not shows that the machine was too busy: what is beside
// it says little, and is better played once more.
func (r Result) Smooth() bool {
	return r.Started && r.Stalls+r.Jumps+r.Fatal+len(r.Failed) == 0 && r.Played > 0.9*r.Seconds
}

// Compare says what a viewer of run has to complain about that one of control
// has not; nil: nothing. Waiting, dropped frames and switches are not compared. A
// control run that has shown next to nothing is an error too.
func Compare(run, control Result) error {
	if !control.Started || control.Fatal > 0 || control.StalledSeconds > control.Played {
		return fmt.Errorf("the control run did not play, so that there is nothing to compare with: %s", control)
	}
	var worse []error
	for _, c := range []struct {
		what         string
		run, control int
	}{
		{"streams that did not start", count(!run.Started), count(!control.Started)},
		{"streams that did not end", count(!run.Ended), count(!control.Ended)},
		{"stalls", run.Stalls, control.Stalls},
		{"jumps", run.Jumps, control.Jumps},
		{"fatal errors", run.Fatal, control.Fatal},
		{"failed requests", len(run.Failed), len(control.Failed)},
	} {
		if c.run > c.control {
			worse = append(worse, fmt.Errorf("%d %s, and %d in the control run", c.run, c.what, c.control))
		}
	}
	if worse == nil {
		return nil
	}
	return fmt.Errorf("%w\nrun:     %s\ncontrol: %s", errors.Join(worse...), run, control)
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
