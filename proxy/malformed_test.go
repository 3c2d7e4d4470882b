package proxy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// mistake is a config that must be refused, and what the error must say.
type mistake struct {
	name   string
	config string
	says   []string
}

func TestAMalformedConfigIsRefusedWithTheReasonAndChangesNothing(t *testing.T) {
	t.Setenv("PREVIEW_SECRET", previewSecret)
	t.Setenv("SHORT_SECRET", "too-short")
	h := newHouse(t)
	h.load(pair("app", saying(t, "blue"), saying(t, "green"), "ramp 10:1h"), "blue_green app")
	h.healthy("app")
	h.cutover("app", switcher.Green) // to 10 percent, where it stays
	before := standing(h)

	for _, m := range caddyfileMistakes {
		t.Run(m.name, func(t *testing.T) {
			m.refusedBy(t, h.try(h.caddyfile(m.config, "blue_green app")))
			equal(t, "what is in force", standing(h), before)
		})
	}
	for _, m := range siteMistakes {
		t.Run(m.name, func(t *testing.T) {
			m.refusedBy(t, h.try(h.caddyfile(pair("app", "10.0.0.1:1", "10.0.0.1:1"), m.config)))
			equal(t, "what is in force", standing(h), before)
		})
	}
	for _, m := range jsonMistakes {
		t.Run(m.name, func(t *testing.T) {
			m.refusedBy(t, h.tryApp(m.config))
			equal(t, "what is in force", standing(h), before)
		})
	}
	for _, m := range mediaMistakes {
		t.Run(m.name, func(t *testing.T) {
			m.refusedBy(t, h.try(h.caddyfile(pair("app", "10.0.0.1:1", "10.0.0.1:1"), m.config)))
			equal(t, "what is in force", standing(h), before)
		})
	}
	for _, m := range globalMistakes {
		t.Run(m.name, func(t *testing.T) {
			h.globals = m.config
			m.refusedBy(t, h.try(h.caddyfile(pair("app", "10.0.0.1:1", "10.0.0.1:1"), "blue_green app")))
			h.globals = ""
			equal(t, "what is in force", standing(h), before)
		})
	}
	for _, m := range mediaJSONMistakes {
		t.Run(m.name, func(t *testing.T) {
			m.refusedBy(t, h.tryHandler(m.config))
			equal(t, "what is in force", standing(h), before)
		})
	}
	if n := len(caddyfileMistakes) + len(siteMistakes) + len(jsonMistakes); n < 40 {
		t.Errorf("only %d mistakes", n)
	}
	for _, m := range jsonMistakes {
		if strings.Contains(h.log(), previewSecret) {
			t.Fatalf("%s: the secret is in the log", m.name)
		}
	}
}

func (m mistake) refusedBy(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("the config was accepted")
	}
	for _, text := range m.says {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q: %v", text, err)
		}
	}
}

// standing is what must not change: generation, split, pools and answers.
func standing(h *house) string {
	v := h.view("app")
	services, err := h.client().Services(h.t.Context())
	must(h.t, err)
	var pools []switcher.Upstream
	for _, u := range append(v.Blue.Upstreams, v.Green.Upstreams...) {
		if !u.Healthy {
			h.t.Errorf("%s is not healthy any more: %s", u.Address, u.Reason)
		}
		pools = append(pools, u.Upstream)
	}
	a := h.get("/")
	return fmt.Sprintf("%d services, generation %d, %s, %s, %v: %d %s", len(services), v.Generation, v.Phase, v.Split, pools, a.status, a.body)
}

// tryApp loads the JSON of a greenroom app beside the sites of the house.
func (h *house) tryApp(app string) error {
	h.t.Helper()
	config, err := adapt(h.caddyfile(pair("app", "10.0.0.1:1", "10.0.0.1:1"), "blue_green app"))
	must(h.t, err)
	var parsed map[string]any
	must(h.t, json.Unmarshal(config, &parsed))
	parsed["apps"].(map[string]any)["greenroom"] = json.RawMessage(app)
	config, err = json.Marshal(parsed)
	must(h.t, err)
	return caddy.Load(config, true)
}

// tryHandler loads the JSON of a handler in a server of its own.
func (h *house) tryHandler(handler string) error {
	h.t.Helper()
	config, err := adapt(h.caddyfile(pair("app", "10.0.0.1:1", "10.0.0.1:1"), "blue_green app"))
	must(h.t, err)
	var parsed map[string]any
	must(h.t, json.Unmarshal(config, &parsed))
	servers := parsed["apps"].(map[string]any)["http"].(map[string]any)["servers"].(map[string]any)
	servers["more"] = map[string]any{"listen": []string{freeAddress(h.t)}, "routes": []any{map[string]any{"handle": []any{json.RawMessage(handler)}}}}
	config, err = json.Marshal(parsed)
	must(h.t, err)
	return caddy.Load(config, true)
}
