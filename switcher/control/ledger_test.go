package control

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// fakeLedger remembers what it was asked, of the service "app".
type fakeLedger struct {
	// before, if set, is called with each eviction.
	before func()

	mu      sync.Mutex
	queries []switcher.StreamQuery  // guarded by mu
	evicted []switcher.EvictRequest // guarded by mu
}

func known(service string) error {
	if service != "app" {
		return fmt.Errorf("service %q: %w", service, switcher.ErrUnknownService)
	}
	return nil
}

func (f *fakeLedger) Streams(_ context.Context, service string, q switcher.StreamQuery) (switcher.StreamPage, error) {
	if err := known(service); err != nil {
		return switcher.StreamPage{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queries = append(f.queries, q)
	return switcher.StreamPage{Streams: []switcher.Stream{exampleStream}, Total: 340, Next: "3k7"}, nil
}

func (f *fakeLedger) Evict(_ context.Context, req switcher.EvictRequest) (switcher.Eviction, error) {
	if f.before != nil {
		f.before()
	}
	if err := known(req.Services[0]); err != nil {
		return switcher.Eviction{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.evicted = append(f.evicted, req)
	return switcher.Eviction{Streams: 342, Color: switcher.Blue, Pace: 7}, nil
}

// asked returns all that came through.
func (f *fakeLedger) asked() ([]switcher.StreamQuery, []switcher.EvictRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.queries), slices.Clone(f.evicted)
}

var exampleStream = switcher.Stream{
	ID: "3k7", Kind: switcher.StreamWebSocket, Color: switcher.Blue, State: "open", Upstream: "10.0.0.1:80", Client: "192.0.2.7",
	Method: "GET", Path: "/chat\x1b[2J", Protocol: "HTTP/1.1", Started: testTime, LastByte: testTime.Add(5), Received: 1, Sent: 2, Rate: 3,
}

// startLedger starts a server that shows the streams of f; nil: none.
func startLedger(t *testing.T, f *fakeLedger, policy Policy, audit *Audit) *started {
	t.Helper()
	h := NewHandler(newRecorder(), audit, nil)
	if f != nil {
		h.SetStreams(f)
	}
	return startHandler(t, Settings{Socket: filepath.Join(openDir(t), "c"), Policy: policy}, h, audit)
}

func TestStreamsComeAsTheyAreAskedFor(t *testing.T) {
	f := &fakeLedger{}
	c := startLedger(t, f, Policy{}, openAudit(t)).Client
	for _, q := range []switcher.StreamQuery{
		{}, {Color: switcher.Green}, {After: "3k7", Limit: 1}, {Limit: switcher.MaxStreams}, {Kinds: switcher.StreamKinds()},
		{Color: switcher.Blue, Kinds: []switcher.StreamKind{switcher.StreamSSE, switcher.StreamRequest}, After: "0", Limit: 7},
	} {
		page, err := c.Streams(t.Context(), "app", q)
		want := switcher.StreamPage{Streams: []switcher.Stream{exampleStream}, Total: 340, Next: "3k7"}
		if err != nil || !reflect.DeepEqual(page, want) {
			t.Errorf("%+v: %+v, %v", q, page, err)
		}
		if queries, _ := f.asked(); !reflect.DeepEqual(queries[len(queries)-1], q) {
			t.Errorf("asked for %+v, came as %+v", q, queries)
		}
	}
	_, err := c.Streams(t.Context(), "nope", switcher.StreamQuery{})
	wantProblem(t, err, http.StatusNotFound, CodeUnknownService, switcher.ErrUnknownService)
	_, err = c.Evict(t.Context(), switcher.EvictRequest{Request: request("nope")})
	wantProblem(t, err, http.StatusNotFound, CodeUnknownService, switcher.ErrUnknownService)
}

func TestTheQueryForStreamsIsReadStrictly(t *testing.T) {
	f := &fakeLedger{}
	s := startLedger(t, f, Policy{}, openAudit(t))
	for query, want := range map[string]string{
		"color=red":                          `color: `,
		"color=Blue":                         `color: `,
		"color=blue&color=green":             `"color" is given twice`,
		"kind=":                              "want one of request, websocket",
		"kind=tcp":                           `kind "tcp"`,
		"kind=sse,":                          "want one of",
		"kind=sse&kind=SSE":                  `kind "SSE"`,
		"kind=sse,%20grpc":                   "want one of",
		"kind=0":                             "want one of",
		"limit=0":                            "want 1 to 1000",
		"limit=1001":                         "want 1 to 1000",
		"limit=-1":                           "want 1 to 1000",
		"limit=ten":                          "want 1 to 1000",
		"limit=1e2":                          "want 1 to 1000",
		"limit=99999999999999999999":         "want 1 to 1000",
		"limit=" + strings.Repeat("1", 5000): "want 1 to 1000",
		"limit=1&limit=2":                    `"limit" is given twice`,
		"after=-1":                           "want the id of a stream",
		"after=%00":                          "want the id of a stream",
		"after=3w5e11264sgsg":                "want the id of a stream", // 2^64
		"after=1&after=2":                    `"after" is given twice`,
		"colour=blue":                        `query parameter "colour"`,
		"service=app":                        `query parameter "service"`,
		"limit=%zz":                          "query: ",
	} {
		resp, p := raw(t, s.path(), sent{"GET", "/v1/services/app/streams?" + query, "", ""}.String())
		if resp.StatusCode != http.StatusBadRequest || p.Code != CodeInvalid || !strings.Contains(p.Detail, want) || len(p.Detail) > 300 {
			t.Errorf("%.40s: %d %s: %s, want %s", query, resp.StatusCode, p.Code, p.Detail, want)
		}
	}
	if queries, evicted := f.asked(); len(queries)+len(evicted) > 0 {
		t.Errorf("came through: %v, %v", queries, evicted)
	}
	for _, query := range []string{"", "?", "?color=&limit=&after=", "?kind=sse,grpc&kind=live", "?after=3w5e11264sgsf&limit=1000"} {
		if resp, p := raw(t, s.path(), sent{"GET", "/v1/services/app/streams" + query, "", ""}.String()); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %s", query, resp.Status, p.Detail)
		}
	}
}

func TestAnEvictionIsReadStrictly(t *testing.T) {
	f := &fakeLedger{}
	s := startLedger(t, f, Policy{}, openAudit(t))
	for body, field := range map[string]string{
		`{"color":"red"}`: "color", `{"color":1}`: "color", `{"kinds":"sse"}`: "kinds", `{"kinds":["tcp"]}`: "kinds",
		`{"kinds":["sse",2]}`: "kinds", `{"ids":"3k7"}`: "ids", `{"ids":[7]}`: "ids[0]", `{"id":"3k7"}`: "", `{"limit":3}`: "",
		`{"color":"blue","color":"green"}`: "", `{"services":["` + strings.Repeat("a", maxName+1) + `"]}`: "",
	} {
		resp, p := raw(t, s.path(), sent{"POST", "/v1/services/app/evict", asJSON, body}.String())
		if resp.StatusCode != http.StatusBadRequest || p.Code != CodeInvalid || p.Field != field {
			t.Errorf("%.60s: %d %s, field %q: %s", body, resp.StatusCode, p.Code, p.Field, p.Detail)
		}
	}
	if resp, p := raw(t, s.path(), sent{"GET", "/v1/services/app/evict", "", ""}.String()); p.Code != CodeMethodNotAllowed {
		t.Error(resp.Status, p)
	}
	if resp, p := raw(t, s.path(), sent{"POST", "/v1/services/app/streams", "", ""}.String()); p.Code != CodeMethodNotAllowed {
		t.Error(resp.Status, p)
	}
	if queries, evicted := f.asked(); len(queries)+len(evicted) > 0 {
		t.Errorf("came through: %v, %v", queries, evicted)
	}
}

func TestToSeeStreamsIsToViewAndToEndThemIsToFlip(t *testing.T) {
	for role := RoleNone; role <= RoleForce; role++ {
		f := &fakeLedger{}
		s := startLedger(t, f, allow(0, role), openAudit(t))
		_, err := s.Streams(t.Context(), "app", switcher.StreamQuery{})
		if role >= RoleView && err != nil {
			t.Errorf("%s: %s", role, err)
		} else if role < RoleView {
			wantProblem(t, err, http.StatusForbidden, CodeNotAllowed, nil)
		}
		_, err = s.Evict(t.Context(), switcher.EvictRequest{Request: request("app")})
		if role >= RoleFlip && err != nil {
			t.Errorf("%s: %s", role, err)
		} else if role < RoleFlip {
			wantProblem(t, err, http.StatusForbidden, CodeNotAllowed, nil)
		}
		if _, evicted := f.asked(); (len(evicted) > 0) != (role >= RoleFlip) {
			t.Errorf("%s has evicted: %v", role, evicted)
		}
	}
}

func TestAnEvictionIsAuditedBeforeAndAfter(t *testing.T) {
	f := &fakeLedger{}
	s := startLedger(t, f, Policy{}, openAudit(t))
	f.before = func() {
		if lines := entries(t, s.audit); len(lines) != 1 || lines[0].Decision != allowed {
			t.Errorf("before it: %+v", lines)
		}
	}
	req := switcher.EvictRequest{
		Request: switcher.Request{Services: []string{"app"}, Reason: "noon", IfGeneration: new(uint64(7))},
		Color:   switcher.Green, Kinds: []switcher.StreamKind{switcher.StreamSSE}, IDs: []string{"3k7"},
	}
	e, err := s.Evict(t.Context(), req)
	if err != nil || e != (switcher.Eviction{Streams: 342, Color: switcher.Blue, Pace: 7}) {
		t.Fatal(e, err)
	}
	req.By = "uid 0 (root)"
	if _, evicted := f.asked(); !reflect.DeepEqual(evicted, []switcher.EvictRequest{req}) {
		t.Errorf("came as %+v", evicted)
	}
	if _, err := s.Streams(t.Context(), "app", switcher.StreamQuery{}); err != nil {
		t.Error(err)
	}
	lines := entries(t, s.audit)
	if len(lines) != 2 { // to look is not audited
		t.Fatalf("%+v", lines)
	}
	first, done := lines[0], lines[1]
	if first.Action != "evict" || first.Reason != "noon" || !slices.Equal(first.Services, []string{"app"}) ||
		string(first.Request) != `{"if_generation":7,"color":"green","kinds":["sse"],"ids":["3k7"]}` {
		t.Errorf("%+v: %s", first, first.Request)
	}
	if done.Action != "evict" || done.Ref != first.Seq || done.Outcome != "done" || done.Changed != nil {
		t.Errorf("%+v", done)
	}
	verifyLog(t, s.audit)
}

func TestWithoutAnAuditLogNothingIsEvicted(t *testing.T) {
	f := &fakeLedger{}
	s := startLedger(t, f, Policy{}, nil)
	_, err := s.Evict(t.Context(), switcher.EvictRequest{Request: request("app")})
	wantProblem(t, err, http.StatusServiceUnavailable, CodeAuditFailed, nil)
	if _, evicted := f.asked(); len(evicted) > 0 {
		t.Error("evicted all the same")
	}
	if _, err := s.Streams(t.Context(), "app", switcher.StreamQuery{}); err != nil {
		t.Errorf("to look needs no audit log: %s", err)
	}
}

func TestAnEdgeThatShowsNoStreamsSaysSo(t *testing.T) {
	s := startLedger(t, nil, Policy{}, openAudit(t))
	_, seen := s.Streams(t.Context(), "app", switcher.StreamQuery{})
	_, ended := s.Evict(t.Context(), switcher.EvictRequest{Request: request("app")})
	for _, err := range []error{seen, ended} {
		wantProblem(t, err, http.StatusInternalServerError, CodeInternal, nil)
		if err == nil || !strings.Contains(err.Error(), "this edge shows no streams") {
			t.Error(err)
		}
	}
	if lines := entries(t, s.audit); len(lines) != 2 || lines[1].Outcome != "failed" {
		t.Errorf("%+v", lines)
	}
}
