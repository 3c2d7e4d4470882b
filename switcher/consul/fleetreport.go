package consul

import (
	"context"
	"maps"
	"slices"
)

// FleetReport is what one edge knows of its fleet.
type FleetReport struct {
	Edge   string `json:"edge"`
	Prefix string `json:"prefix"`
	// Error is why Consul could not be asked; Services are then only what
	// this edge knows of itself.
	Error    string         `json:"consul_error,omitempty"`
	Services []ServiceFleet `json:"services"`
	// Stats are how this edge's part in it fares.
	Stats FleetStats `json:"stats"`
}

// Agreed reports whether Consul answered, and all edges serve each service as
// its shared state says.
func (r *FleetReport) Agreed() bool {
	return r.Error == "" && !slices.ContainsFunc(r.Services, func(s ServiceFleet) bool { return !s.Agreed() })
}

// Report asks Consul what all edges have reported. It always has an answer.
func (f *Fleet) Report(ctx context.Context) FleetReport {
	r := FleetReport{Edge: f.config.Edge, Prefix: f.config.Prefix, Stats: f.Stats()}
	var err error
	if r.Services, err = ReadFleet(ctx, f.client, f.config.Prefix); err != nil {
		r.Error, r.Services = plain(err.Error(), maxText), f.own()
	}
	return r
}

// own is what this edge would report of its services.
func (f *Fleet) own() []ServiceFleet {
	f.mu.Lock()
	defer f.mu.Unlock()
	services := []ServiceFleet{}
	for _, name := range slices.Sorted(maps.Keys(f.locals)) {
		services = append(services, ServiceFleet{Service: name, Edges: []EdgeStatus{f.locals[name]}})
	}
	return services
}
