package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/compare"
)

func TestAVersionThatFailsOnlyWhenItServesIsRolledBackByItself(t *testing.T) {
	t.Parallel()
	e := comparedEdge(t, saying("blue"), failing("green", 5), "ramp 10:1h,50:1h"+briefly)
	c := startVisitors(t, e)
	const why = "green is worse than blue: errors: green "
	e.cli("cutover", "app", "--to", "green", "--reason", "1.5.0").wants(t, exitUndone, "aborted: greenroom: app: "+why, " requests, blue 0% of ", " such ramps at most")
	f := e.isBack(t, compare.Errors)
	if f.Long.New.Failures == 0 || f.Long.Old.Failures != 0 || c.bad.Blue.Load() != 0 {
		t.Errorf("the verdict is %+v", f)
	}
	e.until("the visitors have seen what was counted", func() bool { return uint64(c.bad.Green.Load()) >= f.Long.New.Failures })
	e.cli("history", "app").wants(t, 0, why, "1.5.0")
	e.cli("status", "app").wants(t, 0, why)

	// It is judged anew the next time, and a script gets to know.
	var doc struct {
		Result string
		Detail string
		Error  struct{ Code, Detail string }
	}
	out := e.cli("cutover", "app", "--to", "green", "--json")
	out.wants(t, exitUndone)
	if err := json.Unmarshal([]byte(out.stdout), &doc); err != nil || doc.Result != "aborted" || doc.Error.Code != "undone" {
		t.Errorf("%v: %s", err, out)
	}
	wants(t, doc.Detail, []string{"greenroom: app: " + why})
	wants(t, doc.Error.Detail, []string{"greenroom: app: " + why})
	e.isBack(t, compare.Errors)
}

func TestASlowVersionIsRolledBackByItself(t *testing.T) {
	t.Parallel()
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(200 * time.Millisecond):
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "green")
	})
	e := comparedEdge(t, saying("blue"), slow, "ramp 10:1h"+briefly)
	startVisitors(t, e)
	e.cli("cutover", "app", "--to", "green").wants(t, exitUndone, "green is worse than blue: latency p95: green ")
	if f := e.isBack(t, compare.Latency); f.Long.New.Took < f.Long.Old.Took+50*time.Millisecond {
		t.Errorf("the verdict is %+v", f)
	}
}

func TestAVersionThatNeverAnswersIsRolledBackByItself(t *testing.T) {
	t.Parallel()
	silent := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	e := comparedEdge(t, saying("blue"), silent, "ramp 10:1h"+briefly)
	(&visitors{leave: time.Second}).start(t, e)
	e.cli("cutover", "app", "--to", "green").wants(t, exitUndone, "green is worse than blue: latency p95: green ")
	e.isBack(t, compare.Latency)
}

func TestWhatAilsBothColorsRollsNothingBack(t *testing.T) {
	t.Parallel()
	shared := newBackend(t, failing("", 3))
	app := func(color string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			res, err := http.Get("http://" + shared.address + "/")
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
			w.WriteHeader(res.StatusCode)
			_, _ = io.WriteString(w, color)
		})
	}
	e := comparedEdge(t, app("blue"), app("green"), "ramp 25:hold"+briefly)
	c := startVisitors(t, e)
	e.cli("cutover", "app", "--to", "green", "--no-wait").wants(t, 0)
	e.until("there is much to judge by", func() bool {
		v := e.view()
		if v.Phase != switcher.Ramping {
			t.Fatalf("%s: %+v", v.Phase, v.Last)
		}
		f := by(e.compared(), compare.Errors)
		return f.Long.New.Failures >= 20 && f.Long.Old.Failures >= 20
	})
	e.cli("resume", "app").wants(t, 0, "app: green serves 100%")
	last := e.view().Last
	if last.Result != switcher.ResultDone || len(last.Compared) != 1 || last.Compared[0].State != compare.NoWorse {
		t.Fatalf("history: %+v", last)
	}
	f := by(last.Compared[0].Verdict, compare.Errors)
	t.Logf("after %d requests: %s", c.asked.Load(), f.Sentence("blue", "green"))
}

func TestWithoutTrafficThereIsNoVerdictAndARampGoesOn(t *testing.T) {
	t.Parallel()
	e := comparedEdge(t, saying("blue"), failing("green", 1), "ramp 50:2s"+briefly)
	e.cli("plan", "app", "--to", "green").wants(t, 0, "compare the colors meanwhile; app: errors (2 times as many")
	e.cli("cutover", "app", "--to", "green").wants(t, 0, "app: green serves 100%", "ended without a verdict, of too few samples")
	if last := e.view().Last; len(last.Compared) != 1 || last.Compared[0].State != compare.TooFew || len(last.Compared[0].Findings) != 0 {
		t.Errorf("history: %+v", last)
	}
}

func TestAWorseVersionIsHeldWhereTheConfigSaysFreeze(t *testing.T) {
	t.Parallel()
	e := comparedEdge(t, saying("blue"), failing("green", 5), "ramp 50:1h\non_failure freeze"+briefly)
	c := startVisitors(t, e)
	waited := make(chan output, 1)
	go func() { waited <- e.cli("cutover", "app", "--to", "green") }()
	e.until("the ramp is held", func() bool { r := e.view().Cutover; return r != nil && r.Held != nil })
	e.cli("status", "app").wants(t, 0, "held", "by greenroom", "green is worse than blue: errors: green ", "; frozen, as the failure policy says")
	seen := c.bad.Green.Load()
	e.until("more has failed", func() bool { return c.bad.Green.Load() > seen+20 })
	if v := e.view(); v.Split.Green != 50 || v.Cutover.Held.By != "greenroom" || e.compared().State != compare.Worse {
		t.Errorf("%s, held %+v, %s", v.Split, v.Cutover.Held, e.compared().State)
	}
	e.cli("abort", "app").wants(t, 0)
	(<-waited).wants(t, exitUndone, "green is worse than blue: errors", "aborted")
	for range 50 {
		if body := fetch(t, "http://"+e.http+"/"); body != "blue" {
			t.Fatalf("%q answers", body)
		}
	}
}

func TestAWorseVersionPassesWhereNothingIsCompared(t *testing.T) {
	t.Parallel()
	e := comparedEdge(t, saying("blue"), failing("green", 2), "ramp 50:hold\ncompare off")
	c := startVisitors(t, e)
	e.cli("cutover", "app", "--to", "green", "--no-wait").wants(t, 0)
	e.until("much has failed", func() bool { return c.bad.Green.Load() > 200 })
	if v := e.view(); v.Split.Green != 50 || len(v.Cutover.Compared) != 0 {
		t.Errorf("%s, compared %+v", v.Split, v.Cutover.Compared)
	}
	e.cli("resume", "app").wants(t, 0, "app: green serves 100%")
	if last := e.view().Last; last.Result != switcher.ResultDone || last.Compared != nil {
		t.Errorf("history: %+v", last)
	}
}
