package file

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

func good(address string) look {
	return look{sum: sha256.Sum256([]byte(address)), pools: switcher.Pools{Blue: []switcher.Upstream{{Address: address}}}}
}

func bad(content string) look {
	return look{sum: sha256.Sum256([]byte(content)), err: errors.New("bad")}
}

func worse(content string) look {
	return look{sum: sha256.Sum256([]byte(content)), err: errors.New("worse")}
}

func TestTheJudgeTellsWhatIsNew(t *testing.T) {
	type step struct {
		look  look
		after time.Duration // since the step before
		want  news
	}
	for name, steps := range map[string][]step{
		"pools, and the same": {{good("a"), 0, update}, {good("a"), 0, nothing}, {good("b"), 0, update}, {good("a"), 0, update}},
		"a writer at work":    {{good("a"), 0, update}, {bad("x"), 0, suspicion}, {bad("xy"), 0, suspicion}, {good("a"), 0, nothing}},
		"a failure that stays": {
			{good("a"), 0, update}, {bad("x"), 0, suspicion}, {bad("x"), 0, failure}, {bad("x"), 0, nothing},
			{bad("x"), time.Hour, nothing}, {good("a"), 0, update}, {good("a"), 0, nothing},
		},
		"a failure from the start": {{bad("x"), 0, suspicion}, {bad("x"), 0, failure}, {good("a"), 0, update}},
		"another failure": {
			{bad("x"), 0, suspicion}, {bad("x"), 0, failure}, {worse("x"), 0, suspicion}, {worse("x"), 0, failure},
			{bad("x"), time.Hour, suspicion}, {bad("x"), 0, failure},
		},
		"another content with the same words": {{bad("x"), 0, suspicion}, {bad("x"), 0, failure}, {bad("y"), 0, nothing}},
		"a content that never rests": {
			{bad("x"), 0, suspicion}, {bad("y"), time.Second, suspicion}, {bad("z"), 3 * time.Second, suspicion},
			{bad("x"), time.Second, failure},
		},
		"a failure that went away is not counted": {
			{bad("x"), 0, suspicion}, {good("a"), 0, update}, {bad("x"), time.Hour, suspicion}, {bad("x"), 0, failure},
		},
	} {
		var j judge
		now := at
		for i, s := range steps {
			now = now.Add(s.after)
			if got := j.see(s.look, now, 5*time.Second); got != s.want {
				t.Errorf("%s: step %d: got %d, want %d", name, i, got, s.want)
			}
		}
	}
}

func TestABurstEndsWithCalmOrAtItsLimit(t *testing.T) {
	const calm, limit = 100 * time.Millisecond, time.Second
	var q quiet
	if !q.due(calm, limit).IsZero() {
		t.Error("a look is due without an event")
	}
	q.event(at)
	for i := 1; i <= 9; i++ {
		now := at.Add(time.Duration(i) * 90 * time.Millisecond)
		q.event(now)
		if got := q.due(calm, limit); got != now.Add(calm) {
			t.Errorf("after %d events due at %s", i+1, got.Sub(at))
		}
	}
	q.event(at.Add(990 * time.Millisecond))
	if got := q.due(calm, limit); got != at.Add(limit) {
		t.Errorf("in a storm due at %s, want the limit", got.Sub(at))
	}
}

func TestPlacesAreAllDirectoriesThatCanChangeTheContent(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in := func(path string) string { return filepath.Join(root, path) }
	for _, dir := range []string{"pools/..1", "real/v1", "links"} {
		if err := os.MkdirAll(in(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	put(t, in("pools/..1/app.json"), "")
	put(t, in("real/v1/app.json"), "")
	for name, target := range map[string]string{
		"pools/..data": "..1", "pools/app.json": "..data/app.json",
		"real/now": "v1", "links/app.json": in("real/now/app.json"), "links/up.json": "../real/../real/v1/app.json",
		"links/loop": "loop", "links/lost.json": "../gone/away/app.json",
	} {
		if err := os.Symlink(target, in(name)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string][]string{
		"real/v1/app.json": {"real/v1"},
		"pools/app.json":   {"pools", "pools/..1"},
		"links/app.json":   {"links", "real", "real/v1"},
		"links/up.json":    {"links", "real/v1"},
		"links/loop":       {"links"},
		"links/lost.json":  {"links", ""},
		"none/at/all.json": {""},
		"real/v1/none":     {"real/v1"},
	} {
		for i := range want {
			want[i] = in(want[i])
		}
		if got := places(in(path)); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}
