package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul"
)

// fleetStatus shows what the edges on one Consul report, as one of them sees it.
func fleetStatus(ctx context.Context, s *session, names []string) (report, error) {
	ctx, cancel := s.answer(ctx)
	defer cancel()
	answer, err := s.edge.Fleet(ctx)
	if err != nil {
		return report{}, err
	}
	var fleet consul.FleetReport
	if err := json.Unmarshal(answer, &fleet); err != nil {
		return report{}, fmt.Errorf("the edge's report of its fleet: %w", err)
	}
	for _, name := range names {
		if !slices.ContainsFunc(fleet.Services, func(f consul.ServiceFleet) bool { return f.Service == name }) {
			return report{}, fmt.Errorf("service %q: %w in the fleet", name, switcher.ErrUnknownService)
		}
	}
	if len(names) > 0 {
		fleet.Services = slices.DeleteFunc(fleet.Services, func(f consul.ServiceFleet) bool { return !slices.Contains(names, f.Service) })
	}
	return report{fleetLines(&fleet, time.Now()), fleet}, disagreement(&fleet)
}

// disagreement is why the exit code is not 0.
func disagreement(f *consul.FleetReport) error {
	if f.Agreed() {
		return nil
	}
	if f.Error != "" {
		return &failure{
			Code: "fleet", Exit: exitFleet, Detail: "Consul cannot be asked what the other edges report: " + f.Error,
			Hint: "see to Consul; each edge serves on as it is, and takes commands on its own socket",
		}
	}
	var apart []string
	for i := range f.Services {
		if s := &f.Services[i]; !s.Agreed() {
			apart = append(apart, s.Service)
		}
	}
	return &failure{
		Code: "fleet", Exit: exitFleet, Detail: "not all edges are where the fleet is: " + strings.Join(apart, ", "),
		Hint: "look again if a move is under way; a trigger moves all edges, and a command on an edge's own socket moves that one and then the others. Of an edge that is gone for good, delete the key " + f.Prefix + "/<service>/status/<edge>",
	}
}

// fleetLines renders a fleet: below each service where it is agreed to be, and
// then its edges.
func fleetLines(f *consul.FleetReport, now time.Time) []line {
	lines := fleetHead(f, now)
	if len(f.Services) == 0 {
		return append(lines, say("no edge has reported any service"))
	}
	rows := [][]line{headings("SERVICE", "EDGE", "ACTIVE", "SPLIT b/g", "PHASE", "EPOCH", "GEN", "RESULT")}
	var below [][]line
	for i := range f.Services {
		s := &f.Services[i]
		rows, below = append(rows, agreedRow(s)), append(below, agreedNotes(s, now))
		for j := range s.Edges {
			rows, below = append(rows, edgeRow(s, &s.Edges[j])), append(below, edgeNotes(&s.Edges[j]))
		}
	}
	table := grid(rows)
	lines = append(lines, table[0])
	for i, row := range table[1:] {
		lines = append(append(lines, row), below[i]...)
	}
	return lines
}

func fleetHead(f *consul.FleetReport, now time.Time) []line {
	answered := "Consul has not answered since it started"
	if !f.Stats.Answered.IsZero() {
		answered = "Consul answered " + ago(f.Stats.Answered, now)
	}
	lines := []line{say("fleet %s, seen from ", f.Prefix).add(bold, "%s", f.Edge).add(plain, ", %s", answered)}
	troubles := []string{f.Error, f.Stats.Error, f.Stats.WriteError}
	for i, trouble := range troubles {
		if trouble != "" && slices.Index(troubles, trouble) == i {
			lines = append(lines, line{{bad, "  warning"}, {plain, " " + trouble}})
		}
	}
	return lines
}

// agreedRow is where all should be.
func agreedRow(s *consul.ServiceFleet) []line {
	name := line{{bold, cut(clean(s.Service), 24)}}
	if s.State == nil {
		return []line{name, {{dim, "agreed"}}, {{dim, "-"}}}
	}
	return []line{name, {{dim, "agreed"}}, {inked(s.State.Active)}, nil, nil, say("%d", s.State.Epoch)}
}

func agreedNotes(s *consul.ServiceFleet, now time.Time) (lines []line) {
	if st := s.State; st != nil {
		l := line{{dim, "  " + string(st.Kind)}}.add(plain, " %s at %s%s", ago(st.At, now), st.Edge, byWhom(st.By))
		if st.Reason != "" {
			l = l.add(plain, ": %s", st.Reason)
		}
		lines = append(lines, l)
	}
	if s.StateError != "" {
		lines = append(lines, line{{bad, "  warning"}, {plain, " the shared state cannot be read: " + s.StateError}})
	}
	if s.Index > 0 {
		lines = append(lines, line{{dim, "  desired"}}.add(plain, " %s (index %d)", s.Desired, s.Index))
	}
	for _, edge := range s.Unreadable {
		lines = append(lines, line{{bad, "  warning"}, {plain, " the status of " + edge + " cannot be read"}})
	}
	return lines
}

func edgeRow(s *consul.ServiceFleet, e *consul.EdgeStatus) []line {
	epoch := say("%d", e.Epoch)
	if s.State != nil && s.State.Epoch != e.Epoch {
		epoch[0].style = warn
	}
	return []line{
		nil, {{bold, cut(clean(e.Edge), 24)}}, {inked(e.Active)}, say("%d/%d", e.Split.Blue, e.Split.Green),
		{{phaseStyle(e.Phase), e.Phase.String()}}, epoch, say("%d", e.Generation), {{outcomeStyle(e.Result), string(e.Result)}},
	}
}

func edgeNotes(e *consul.EdgeStatus) []line {
	if e.Reason == "" || e.Result == consul.Applied {
		return nil
	}
	return []line{line{{dim, "    " + e.Edge + ": "}}.add(plain, "%s", e.Reason)}
}

func outcomeStyle(r consul.Result) style {
	switch r {
	case consul.Applied, "":
		return plain
	case consul.Waiting:
		return warn
	}
	return bad
}
