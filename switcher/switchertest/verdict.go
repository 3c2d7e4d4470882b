package switchertest

import (
	"strings"
	"testing"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// Says checks a gate's decision, and that its reason has all words.
func Says(t *testing.T, v switcher.Verdict, want switcher.Decision, words ...string) {
	t.Helper()
	if v.Decision != want {
		t.Errorf("got %s, want %s: %s", v.Decision, want, v.Reason)
	}
	for _, w := range words {
		if !strings.Contains(v.Reason, w) {
			t.Errorf("no %q in: %s", w, v.Reason)
		}
	}
}
