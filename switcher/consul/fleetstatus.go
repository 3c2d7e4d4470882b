package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom-proxy/greenroom/internal/strictjson"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// Result is what came of a value in KV.
type Result string

// The results.
const (
	Applied     Result = "applied"     // all traffic is where it says
	Waiting     Result = "waiting"     // a move there is under way
	Refused     Result = "refused"     // a gate did not open, or it cannot be done
	Conflict    Result = "conflict"    // another move is under way, or the generation differs
	Locked      Result = "locked"      // the service is locked on this edge
	Malformed   Result = "malformed"   // the value cannot be read
	Stale       Result = "stale"       // the value is old
	Deleted     Result = "deleted"     // the key is gone, which moves nothing
	Unreadable  Result = "unreadable"  // the keys cannot be read, or not all of them
	Diverged    Result = "diverged"    // this edge stays on another color than the fleet, until someone decides
	Unpublished Result = "unpublished" // this edge has moved, and Consul does not know
	Aborted     Result = "aborted"     // the move was undone while it ran
	RolledBack  Result = "rolled_back" // the move was undone while it drained
	Interrupted Result = "interrupted" // the edge ended during the move
	Failed      Result = "failed"      // the edge could not do it
)

// EdgeStatus is what one edge says of one service: the value of its key
// "status/<edge>".
type EdgeStatus struct {
	Format int    `json:"format"` // 1
	Edge   string `json:"edge"`
	// AppliedIndex is the index of the last value of "desired" that the edge
	// has dealt with, and Trigger what came of it.
	AppliedIndex uint64  `json:"applied_index"`
	Trigger      Outcome `json:"trigger"`
	// Epoch of the shared state that it last agreed with.
	Epoch uint64 `json:"epoch"`
	// How it serves.
	Generation uint64         `json:"generation"`
	Phase      switcher.Phase `json:"phase"`
	Active     switcher.Color `json:"active"`
	Split      switcher.Split `json:"split"`
	// Result and Reason are where it stands now: what keeps it from being
	// where the fleet is, else what it dealt with last.
	Result Result    `json:"result,omitempty"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"` // of the last change
}

// Outcome is a result and its reason, a sentence.
type Outcome struct {
	Result Result `json:"result,omitempty"`
	Reason string `json:"reason,omitempty"`
}

const statusFormat = 1

// maxText bounds a reason in a status, in bytes.
const maxText = 600

// ServiceFleet is one service, as all edges show it.
type ServiceFleet struct {
	Service string `json:"service"`
	// Desired is the last trigger as it was written: one line, cut short.
	// Index is that of the key, 0 if there is none.
	Desired string `json:"desired,omitempty"`
	Index   uint64 `json:"index,omitempty"`
	// State is the shared one; nil if there is none. StateError is why it
	// cannot be read.
	State      *SharedState `json:"state,omitempty"`
	StateError string       `json:"state_error,omitempty"`
	// Edges that have ever reported, by name. One that has gone stays until
	// its key is deleted.
	Edges []EdgeStatus `json:"edges"`
	// Unreadable names the edges whose status cannot be read.
	Unreadable []string `json:"unreadable,omitempty"`
}

// Agreed reports whether all edges serve what the shared state says.
func (f *ServiceFleet) Agreed() bool {
	if f.State == nil || len(f.Unreadable) > 0 {
		return false
	}
	return !slices.ContainsFunc(f.Edges, func(e EdgeStatus) bool {
		return e.Active != f.State.Active || e.Epoch != f.State.Epoch || e.Split != switcher.All(f.State.Active)
	})
}

// ReadFleet reads what all edges have reported of all services, in one query.
// The prefix is that of FleetConfig.
func ReadFleet(ctx context.Context, c *Client, prefix string) ([]ServiceFleet, error) {
	if prefix == "" {
		prefix = DefaultPrefix
	}
	if err := validatePrefix(prefix); err != nil {
		return nil, fmt.Errorf("prefix %.40q: %w", prefix, err)
	}
	var pairs api.KVPairs
	err := c.once(ctx, "keys below "+prefix, c.pace.slack, func(ctx context.Context) error {
		var meta *api.QueryMeta
		var err error
		pairs, meta, err = c.api.KV().List(prefix+"/", (&api.QueryOptions{}).WithContext(ctx))
		if err == nil && meta.ResultsFilteredByACLs {
			err = errors.New("the token may not read all keys")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return fleetOf(pairs, prefix+"/"), nil
}

func fleetOf(pairs api.KVPairs, prefix string) []ServiceFleet {
	all := make(map[string]*ServiceFleet)
	for _, p := range pairs[:min(len(pairs), maxKeys)] {
		service, leaf, ok := splitKey(p.Key, prefix)
		if !ok {
			continue
		}
		edge, isStatus := strings.CutPrefix(leaf, statusLeaf+"/")
		if leaf != desiredLeaf && leaf != stateLeaf && !isStatus {
			continue
		}
		f := all[service]
		if f == nil {
			f = &ServiceFleet{Service: service, Edges: []EdgeStatus{}}
			all[service] = f
		}
		switch {
		case leaf == desiredLeaf:
			f.Desired, f.Index = plain(string(p.Value[:min(len(p.Value), maxText)]), maxText), p.ModifyIndex
		case leaf == stateLeaf:
			f.setState(p.Value)
		default:
			f.add(edge, p.Value)
		}
	}
	fleet := make([]ServiceFleet, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fleet = append(fleet, *all[name])
	}
	return fleet
}

func (f *ServiceFleet) setState(value []byte) {
	var err error
	if f.State, err = ParseSharedState(value); err != nil {
		f.State, f.StateError = nil, plain(err.Error(), maxText)
	}
}

func (f *ServiceFleet) add(edge string, value []byte) {
	var s EdgeStatus
	err := strictjson.Decode(value[:min(len(value), maxValue)], &s)
	if err != nil || s.Format != statusFormat || s.Edge != edge || s.clean() != s {
		f.Unreadable = append(f.Unreadable, plain(edge, maxBy))
		return
	}
	f.Edges = append(f.Edges, s)
}

// clean returns s with its texts as an edge writes them.
func (s EdgeStatus) clean() EdgeStatus {
	s.Result, s.Trigger.Result = Result(plain(string(s.Result), 20)), Result(plain(string(s.Trigger.Result), 20))
	s.Reason, s.Trigger.Reason = plain(s.Reason, maxText), plain(s.Trigger.Reason, maxText)
	return s
}

func (s EdgeStatus) encode() []byte {
	text, err := json.Marshal(s)
	if err != nil {
		panic("consul: a status does not marshal: " + err.Error()) // strings, numbers and a time always do
	}
	return text
}
