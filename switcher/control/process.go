package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// Process is the process that answers, and how it gives way to the next one.
type Process interface {
	Process() ProcessView
	// Upgrade starts a new process that is to take everything over. It
	// returns when that is under way.
	Upgrade(ctx context.Context) error
}

// ProcessView is a process as it is shown.
type ProcessView struct {
	Pid     int       `json:"pid"`
	Started time.Time `json:"started"`
	// Successor is the process that is being started to take over, or has
	// been; 0: none.
	Successor int `json:"successor,omitempty"`
	// Failed is why the last upgrade did not happen; empty while one is under
	// way.
	Failed string `json:"failed,omitempty"`
	// Elders are the processes before this one that still have streams, the
	// latest first.
	Elders []ElderView `json:"elders,omitempty"`
}

// ElderView is a process that has handed over.
type ElderView struct {
	Pid      int   `json:"pid"`
	Inflight int64 `json:"inflight"`
}

// SetProcess sets what answers for the process. It must be called before the
// first request.
func (h *Handler) SetProcess(p Process) { h.process = p }

var errNoProcess = errors.New("this edge cannot be upgraded")

func (h *Handler) readProcess() (any, error) {
	if h.process == nil {
		return nil, errNoProcess
	}
	return h.process.Process(), nil
}

func prepareUpgrade(h *Handler) *call {
	request := new(switcher.Request)
	return &call{request: request, base: request, do: func(ctx context.Context) (any, error) {
		if h.process == nil {
			return nil, errNoProcess
		}
		if err := h.process.Upgrade(ctx); err != nil {
			return nil, err
		}
		return h.process.Process(), nil
	}}
}

// Process returns the process that answers.
func (c *Client) Process(ctx context.Context) (ProcessView, error) {
	return get[ProcessView](ctx, c, "/v1/process")
}

// Upgrade starts a new process that is to take everything over.
func (c *Client) Upgrade(ctx context.Context, reason string) (ProcessView, error) {
	body, err := json.Marshal(switcher.Request{Reason: reason})
	if err != nil {
		return ProcessView{}, err
	}
	return decode[ProcessView](c.do(ctx, http.MethodPost, "/v1/upgrade", body))
}
