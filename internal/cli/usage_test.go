package cli

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestWrongUsageIsCaddysOne(t *testing.T) {
	h := open(t, app)
	for _, args := range [][]string{
		{"cutover", "app"}, {"cutover", "--to", "green"}, {"history"}, {"split", "app"}, {"status", "--nope"}, {"streams"}, {"evict", "app", "api"}, {"streams", "app", "--all", "--limit", "3"},
		{"cutover", "app", "--to", "green", "--wait", "--no-wait"},
	} {
		h.run(t, args...).wants(t, exitError, "", "Error: ")
	}
}

func TestWrongUsageIsADocumentUnderJSONToo(t *testing.T) {
	h := open(t, app)
	for _, args := range [][]string{
		{"cutover", "app", "--json"}, {"cutover", "--to", "green", "--json"}, {"history", "--json"}, {"lock", "app", "--json"},
		{"cutover", "app", "--to", "green", "--wait", "--no-wait", "--json"}, {"audit", "verify", "--json"},
		{"status", "--nope", "--json"}, {"status", "--timeout", "soon", "--json"}, {"audit", "verify", "--nope", "--json"},
	} {
		r := h.greenroom(t, args...)
		r.wants(t, exitError, "", "Error: ")
		var doc struct{ Error *failure }
		if err := json.Unmarshal([]byte(r.out), &doc); err != nil || doc.Error == nil {
			t.Errorf("%v: %v in %q", args, err, r.out)
		} else if doc.Error.Code != "usage" || doc.Error.Exit != exitError || !strings.Contains(r.errs, doc.Error.Detail) {
			t.Errorf("%v: %+v, and on stderr %s", args, doc.Error, r.errs)
		}
	}
}

func TestEveryCommandTakesAReason(t *testing.T) {
	h := open(t, app)
	for _, args := range [][]string{{"status"}, {"history", "app"}, {"streams", "app"}, {"plan", "app", "--to", "green"}, {"watch", "--timeout", "1ms"}} {
		h.run(t, append(args, "--reason", "release 42")...).wants(t, exitDone, "")
	}
}
