package cli

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/consul"
)

// exampleFleet has an edge that agrees, one that is behind, and one whose status
// cannot be read.
func exampleFleet() consul.FleetReport {
	status := func(edge string, epoch uint64, c switcher.Color, o consul.Outcome) consul.EdgeStatus {
		return consul.EdgeStatus{
			Format: 1, Edge: edge, AppliedIndex: 41, Epoch: epoch, Generation: epoch + 3, Active: c, Split: switcher.All(c),
			Result: o.Result, Reason: o.Reason, At: before(time.Minute),
		}
	}
	return consul.FleetReport{
		Edge: "edge-1", Prefix: "greenroom", Stats: consul.FleetStats{Answered: before(2 * time.Second)},
		Services: []consul.ServiceFleet{
			{
				Service: "app", Desired: `{"to":"green","reason":"release 42"}`, Index: 41,
				State: &consul.SharedState{
					Format: 1, Epoch: 4, Active: switcher.Green, Kind: consul.SharedCutover, By: "consul kv (index 41)", Edge: "edge-1",
					Reason: "release 42", At: before(time.Minute),
				},
				Edges: []consul.EdgeStatus{
					status("edge-1", 4, switcher.Green, consul.Outcome{Result: consul.Applied, Reason: "all traffic is on green"}),
					status("edge-2", 3, switcher.Blue, consul.Outcome{Result: consul.Refused, Reason: "gate \"healthy\": 0 of 2 healthy\x1b[2J"}),
				},
				Unreadable: []string{"edge-3"},
			},
			{Service: "api", Edges: []consul.EdgeStatus{}, StateError: "is no JSON"},
		},
	}
}

func TestTheFleetLooksAsItShould(t *testing.T) {
	fleet := exampleFleet()
	empty := consul.FleetReport{Edge: "edge-1", Prefix: "greenroom", Error: "connection refused", Services: []consul.ServiceFleet{}}
	for name, f := range map[string]*consul.FleetReport{"fleet": &fleet, "fleet-none": &empty} {
		golden(t, name+".txt", paper{}, fleetLines(f, at))
		golden(t, name+".color.txt", paper{color: true}, fleetLines(f, at))
	}
}

// fleetEdge answers with a report.
type fleetEdge struct {
	edge
	report any
}

func (f fleetEdge) Fleet(context.Context) (json.RawMessage, error) {
	return json.Marshal(f.report)
}

func TestTheExitCodeSaysWhetherTheFleetAgrees(t *testing.T) {
	apart := exampleFleet()
	agreed := exampleFleet()
	agreed.Services = agreed.Services[:1]
	agreed.Services[0].Edges, agreed.Services[0].Unreadable = agreed.Services[0].Edges[:1], nil
	cut := agreed
	cut.Error = "connection refused"
	for name, c := range map[string]struct {
		report   any
		services []string
		exit     int
	}{
		"agreed":               {report: agreed, exit: exitDone},
		"apart":                {report: apart, exit: exitFleet},
		"the service agrees":   {report: agreed, services: []string{"app"}, exit: exitDone},
		"no Consul":            {report: cut, exit: exitFleet},
		"a service not there":  {report: agreed, services: []string{"web"}, exit: exitUnknown},
		"not a report of ours": {report: 7, exit: exitError},
	} {
		_, err := fleetStatus(t.Context(), &session{edge: fleetEdge{report: c.report}}, c.services)
		exit := exitDone
		if f := failed(err); f != nil {
			exit = f.Exit
		}
		if exit != c.exit {
			t.Errorf("%s: exit code %d instead of %d: %v", name, exit, c.exit, err)
		}
	}
	_, err := fleetStatus(t.Context(), &session{edge: fleetEdge{report: apart}}, nil)
	if f := (*failure)(nil); !errors.As(err, &f) || f.Detail != "not all edges are where the fleet is: app, api" {
		t.Error(err)
	}
}
