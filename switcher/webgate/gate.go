// Package webgate is the gate that asks a server: it posts what is about to
// happen as JSON, and goes on if the answer's status is 2xx.
package webgate

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/ask"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// DefaultTimeout is how long an answer may take.
const DefaultTimeout = 5 * time.Second

// maxUpstreams bounds those of one color in a document.
const maxUpstreams = 200

// maxBody is how much of an answer is read, for its first line.
const maxBody = 4 << 10

// Gate posts a Document to a server before each step. A status of 2xx opens it.
// Any other refuses, with the first line of the body as the reason: redirects
// too, which are not followed. A server that cannot be reached, or does not
// answer in time, is waited for, as one that restarts would be: until the gate
// timeout, which then refuses.
type Gate struct {
	// Called is the gate's name. Default: http.
	Called string
	// Server is asked.
	Server *ask.Web
	// Timeout of an answer. Default: DefaultTimeout.
	Timeout time.Duration
}

// Document is what is posted.
type Document struct {
	// Version of this format: 1.
	Version int `json:"version"`
	switcher.GateInput
	// DryRun says that somebody only asked for a plan: nothing will move.
	DryRun bool `json:"dry_run"`
	// Upstreams of both colors, the first 200 of each.
	Upstreams switcher.PerColor[[]switcher.UpstreamState] `json:"upstreams"`
}

// Name implements switcher.Gate.
func (g *Gate) Name() string {
	if g.Called == "" {
		return "http"
	}
	return g.Called
}

// Check implements switcher.Gate.
func (g *Gate) Check(ctx context.Context, p switcher.GateInput) switcher.Verdict {
	body, err := json.Marshal(document(p))
	if err != nil {
		return switcher.Verdict{Decision: switcher.Refuse, Reason: "what is to be posted is no JSON: " + err.Error()}
	}
	timeout := g.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, err := g.Server.Post(ctx, body, maxBody)
	switch {
	case err != nil && answer.Status == 0:
		return switcher.Verdict{Reason: fmt.Sprintf("POST %s: %s", g.Server, ask.Line(err.Error()))}
	case answer.Status >= 200 && answer.Status < 300:
		return switcher.Verdict{Decision: switcher.Pass, Reason: g.says(answer)}
	}
	return switcher.Verdict{Decision: switcher.Refuse, Reason: g.says(answer)}
}

// says is what the server answered, in one line.
func (g *Gate) says(a ask.Answer) string {
	text := fmt.Sprintf("POST %s answered %d", g.Server, a.Status)
	if a.Status >= 300 && a.Status < 400 {
		text += " (redirects are not followed)"
	}
	if line := ask.Line(string(a.Body)); line != "" {
		text += ": " + line
	}
	return text
}

func document(p switcher.GateInput) Document {
	d := Document{Version: 1, GateInput: p, DryRun: p.Planned()}
	for _, c := range switcher.Colors {
		list := p.Upstreams.Of(c)
		*d.Upstreams.At(c) = append([]switcher.UpstreamState{}, list[:min(len(list), maxUpstreams)]...)
	}
	return d
}

var _ switcher.Gate = (*Gate)(nil)
