package viewers_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/greenroom-proxy/greenroom/examples/platform/internal/fixture"
	"github.com/greenroom-proxy/greenroom/examples/platform/stage"
)

// The viewers. Two watch, of whom one chats, as another does; one only reads, and
// one uploads.
const (
	filmgoer  = "Ada"
	fan       = "Ben"
	talker    = "Cleo"
	listener  = "Dan"
	filmmaker = "Eve"
)

const (
	// calm is how many seconds of the film are seen in the control run.
	calm = 20
	// slowly is so slow, in bytes per second, that an upload goes on until its
	// viewer is told to hurry.
	slowly = 2e6
	// often and sometimes are how many milliseconds there are between two messages.
	often, sometimes = 300, 1700
)

// play is one test: a platform and its viewers.
type play struct {
	*testing.T
	s *stage.Stage
	v *viewers
}

func TestADeployWithAMigrationIsNoticedByNobodyInABrowser(t *testing.T) {
	began := time.Now()
	p := play{T: t, s: start(t)}
	p.v = watch(t, p.s.URL)
	p.curtain()
	holiday := holiday(t)

	locks := fixture.WatchLocks(t, p.s.DSN, p.log())
	p.v.do(order{"do": "speak", "name": talker, "every": often}, nil)
	p.v.do(order{"do": "speak", "name": fan, "every": sometimes}, nil)
	control := p.meanwhile("the first holiday", holiday, func() {
		p.v.do(order{"do": "see", "name": filmgoer, "seconds": calm}, nil)
	})
	run := p.meanwhile("the second holiday", holiday, p.deploy)
	messages := p.messages()
	locks.End()

	p.smooth(run, control)
	bytes := p.media()
	must(t, p.s.Ended())
	t.Logf("%d messages; %d bytes of media, none through the app; %s; %s in all", messages, bytes, locks, time.Since(began).Round(time.Second))
}

// curtain brings all viewers in front of the page, with a film and the live
// stream playing, and gives the backfill something to do.
func (p play) curtain() {
	p.Helper()
	p.v.do(order{"do": "meet", "names": []string{filmgoer, fan, talker, listener, filmmaker}}, nil)
	p.v.upload(filmmaker, film(p.T), "The film", -1)
	p.v.uploaded()
	ready(p.T, p.s, "The film")
	fixture.Exec(p, p.s.DSN, `INSERT INTO titles (name, state, length_text) SELECT 'Episode ' || i, 'ready',
		to_char(make_interval(secs => 1200 + i * 37 % 2400), 'FMHH24:MI:SS') FROM generate_series(1, 3000) i`)
	p.v.do(order{"do": "play", "name": filmgoer, "title": "The film"}, nil)
	p.v.do(order{"do": "play", "name": fan, "title": "Live"}, nil)
	p.v.badge("blue · v1", 1)
	p.v.count() // what came before counts for nothing
}

// meanwhile has something happen while a viewer uploads a file, which must be
// whole afterwards, and encoded; and returns what all have seen in that time.
func (p play) meanwhile(title, file string, what func()) map[string]seen {
	p.Helper()
	p.v.upload(filmmaker, file, title, slowly)
	what()
	before, took := p.v.uploaded()
	if before <= 0 || before >= 1 {
		p.Errorf("the upload was %.0f%% when all had happened, so that nothing happened to it", 100*before)
	}
	whole(p.T, p.s, title, file)
	ready(p.T, p.s, title)
	all := p.v.count()
	p.Logf("%s: uploaded in %s, %.0f%% of it before; the film: %s; live: %s", title, took.Round(time.Second/10), 100*before, all[filmgoer], all[fan])
	return all
}

// deploy is one with a rollback in the middle, and the migrations around it.
func (p play) deploy() {
	p.Helper()
	p.migrate(3)
	must(p.T, p.s.Deploy(p.Context(), "green", "v2"))
	p.cutover()
	p.v.badge("green · v2", 2)
	p.greenroom("rollback", "app")
	p.v.badge("blue · v1", 3)
	p.cutover()
	p.v.badge("green · v2", 4)
	p.greenroom("rollback-window", "app", "--wait")
	p.s.Retire("blue")
	p.migrate(4)
	if file := os.Getenv("PLATFORM_SCREENSHOT"); file != "" {
		p.v.do(order{"do": "shoot", "name": fan, "file": file}, nil)
	}
	p.badges()
}

// cutover moves everybody to green, by a ramp, and ends their streams on blue.
func (p play) cutover() {
	p.Helper()
	p.greenroom("cutover", "app", "--to", "green", "--ramp", "10:3s,50:3s", "--drain-timeout", "2s", "--rollback-window", "1s")
}

// migrate must stand back from a viewer who reads for long.
func (p play) migrate(to int) {
	p.Helper()
	fixture.BehindAReader(p, p.s.DSN, p.log(), func() error { return p.s.Migrate(p.Context(), to) })
}

func (p play) log() string { return filepath.Join(p.s.Postgres.Dir, "log") }

// greenroom runs a command that must end with 0.
func (p play) greenroom(args ...string) string {
	p.Helper()
	said, code, err := p.s.Greenroom(p.Context(), args...)
	if err != nil || code != 0 {
		p.Fatalf("greenroom %s: %d, %v: %s", strings.Join(args, " "), code, err, said)
	}
	return said
}

var badge = regexp.MustCompile(`^(\w+ · v\d) · .*$`)

// badges fails unless each page has said that blue, green, blue and green
// answered, and nothing else.
func (p play) badges() {
	p.Helper()
	want := []string{"blue · v1", "green · v2", "blue · v1", "green · v2"}
	for viewer, all := range p.v.badge("green · v2", 4) {
		for i, one := range all {
			all[i] = badge.ReplaceAllString(one, "$1") // without the instance
		}
		if got := slices.Compact(all); !slices.Equal(got, want) {
			p.Errorf("the badge of %s said %q", viewer, got)
		}
	}
}

// messages fails unless each message is in the table once, and was shown to all
// viewers once, in the table's order. It returns how many there are.
func (p play) messages() int {
	p.Helper()
	var chat struct {
		Said  []string
		Shown map[string][]string
	}
	p.v.do(order{"do": "hush", "names": []string{talker, fan}}, &chat)
	rows, err := fixture.Pool(p, p.s.DSN).Query(p.Context(), `SELECT (body ->> 'name') || ': ' || (body ->> 'text')
		FROM entries WHERE topic = 'chat' ORDER BY seq`)
	must(p.T, err)
	table, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(p.T, err)
	if said, kept := slices.Sorted(slices.Values(chat.Said)), slices.Sorted(slices.Values(table)); !slices.Equal(said, kept) {
		p.Errorf("of %d messages that were sent %d are in the table: %s", len(said), len(kept), difference(said, kept))
	}
	for viewer, shown := range chat.Shown {
		if !slices.Equal(shown, table) {
			p.Errorf("%s was shown %d messages, and there are %d: %s", viewer, len(shown), len(table), difference(shown, table))
		}
	}
	return len(table)
}

// difference says where two lists part.
func difference(a, b []string) string {
	for i := range max(len(a), len(b)) {
		if i >= min(len(a), len(b)) || a[i] != b[i] {
			return strings.Join(a[min(i, len(a)):min(i+3, len(a))], ", ") + " …, not " + strings.Join(b[min(i, len(b)):min(i+3, len(b))], ", ") + " …"
		}
	}
	return "none"
}

// smooth fails if anybody has more to complain about than in the control run.
func (p play) smooth(run, control map[string]seen) {
	p.Helper()
	for viewer, r := range run {
		c := control[viewer]
		if r.Stalls > c.Stalls || r.Jumps > c.Jumps || len(r.Failed) > len(c.Failed) {
			p.Errorf("%s: %s; in the control run: %s", viewer, r, c)
		}
	}
	for _, viewer := range []string{filmgoer, fan} {
		if c := control[viewer]; c.Played < calm/2 || c.StalledSeconds > c.Played {
			p.Errorf("the control run of %s did not play, so that there is nothing to compare with: %s", viewer, c)
		}
	}
}

// status is what is needed of greenroom's.
type status struct {
	Services []struct {
		Blue      struct{ Healthy int }
		MediaLeak any `json:"media_leak"`
	}
}

func view(t *testing.T, said string) (s status) {
	t.Helper()
	must(t, json.Unmarshal([]byte(said), &s))
	return s
}

// media fails if a byte of media has gone through the app, or none through the
// edge. It returns how many have.
func (p play) media() (bytes uint64) {
	p.Helper()
	if s := view(p.T, p.greenroom("status", "--json")); len(s.Services) != 1 || s.Services[0].MediaLeak != nil {
		p.Errorf("media has gone through the app: %+v", s)
	}
	var edge struct{ Rules []struct{ Bytes uint64 } }
	must(p.T, json.Unmarshal([]byte(p.greenroom("media", "--json")), &edge))
	for _, rule := range edge.Rules {
		bytes += rule.Bytes
	}
	if bytes == 0 {
		p.Error("no media has gone through the edge either")
	}
	return bytes
}
