package livestream

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/switchertest"
)

func TestAVariantThatWasNotThereIsWatchedOnceItIs(t *testing.T) {
	const b = "green1:80/b.m3u8"
	e := newEncoders()
	e.ladder(input("one", e.now))
	e.status[b] = 404
	g := &Gate{Paths: []string{"/main.m3u8"}, Upstreams: e}
	v, _ := untilTold(t, g, e, "one", 10*time.Second)
	switchertest.Says(t, v, switcher.Wait, "/main.m3u8 at green1:80: /b.m3u8: answered 404")
	e.pass(2 * time.Second)
	e.status, e.stopped[b] = nil, e.now // it is there, and stands still
	switchertest.Says(t, g.Check(t.Context(), input("one", e.now)), switcher.Wait, "/main.m3u8 at green1:80 is watched for 6s, since 12:00:12")
	v, _ = untilTold(t, g, e, "one", 10*time.Second)
	switchertest.Says(t, v, switcher.Wait, "/b.m3u8: has had no new segment for more than 3s")
	e.stopped = nil
	v, _ = untilTold(t, g, e, "one", time.Minute)
	switchertest.Says(t, v, switcher.Pass)
}

func TestTimeInWhichNothingWasSeenIsNotTimeWatched(t *testing.T) {
	kill := func(e *encoders, dead bool) {
		e.dead["green1:80"], e.dead["green2:80"] = dead, dead
	}
	for name, before := range map[string]func(*testing.T, *Gate, *encoders){
		"nothing": func(*testing.T, *Gate, *encoders) {},
		"dead for 8 s": func(t *testing.T, g *Gate, e *encoders) {
			kill(e, true)
			untilTold(t, g, e, "one", 8*time.Second)
		},
		"held while dead, resumed an hour later": func(t *testing.T, g *Gate, e *encoders) {
			kill(e, true)
			untilTold(t, g, e, "one", time.Second)
			e.pass(time.Hour)
		},
		"held while well, resumed an hour later": func(t *testing.T, g *Gate, e *encoders) {
			untilTold(t, g, e, "one", 5*time.Second)
			e.pass(time.Hour)
		},
		"held while well, resumed after 20 s": func(t *testing.T, g *Gate, e *encoders) {
			untilTold(t, g, e, "one", 5*time.Second)
			e.pass(20 * time.Second)
		},
		"unreachable once": func(t *testing.T, g *Gate, e *encoders) {
			untilTold(t, g, e, "one", 5*time.Second)
			kill(e, true)
			untilTold(t, g, e, "one", time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEncoders()
			g := &Gate{Paths: []string{"/main.m3u8"}, Upstreams: e}
			before(t, g, e)
			kill(e, false)
			v, took := untilTold(t, g, e, "one", time.Minute)
			switchertest.Says(t, v, switcher.Pass, "fresh for 6s")
			if took < 6*time.Second || took > 6*time.Second+2*mostEvery {
				t.Errorf("it passed after %s", took)
			}
			if strings.Contains(v.Reason, "no new segment") {
				t.Error(v.Reason)
			}
		})
	}
}

func TestARoundThatTakesLongCountsATargetDuration(t *testing.T) {
	e := newEncoders()
	g := &Gate{Paths: []string{"/main.m3u8"}, Upstreams: e}
	for _, want := range []switcher.Decision{switcher.Wait, switcher.Wait, switcher.Wait, switcher.Pass} {
		switchertest.Says(t, g.Check(t.Context(), input("one", e.now)), want)
		e.pass(10 * time.Second)
	}
}

func TestAStreamThatStandsStillDoesNotPass(t *testing.T) {
	e := newEncoders()
	e.pass(1500 * time.Millisecond)
	g := &Gate{Paths: []string{"/main.m3u8"}, Upstreams: e}
	g.Check(t.Context(), input("one", e.now))
	e.pass(500 * time.Millisecond) // it moves once more
	e.stopped["green1:80/main.m3u8"] = e.now
	v, _, reasons := untilToldOf(t, g, e, input("one", e.now), 10*time.Second)
	switchertest.Says(t, v, switcher.Wait, "/main.m3u8 at green1:80: /main.m3u8: has had no new segment for more than 3s, with a target duration of 2s")
	if len(reasons) != 2 {
		t.Errorf("%d reasons, each an event: %s", len(reasons), strings.Join(reasons, "\n"))
	}
	e.stopped = nil
	v, took := untilTold(t, g, e, "one", time.Minute)
	switchertest.Says(t, v, switcher.Pass)
	if took < 6*time.Second {
		t.Errorf("it was well for %s after it had stood still for 10 s", took)
	}
}

func TestWhatIsKeptOfALongPlaylistIsLittle(t *testing.T) {
	e := newEncoders()
	e.window = 10_000
	g := &Gate{Paths: []string{"/main.m3u8"}, Upstreams: e}
	p := input("one", e.now)
	p.Upstreams.Green, p.Upstreams.Blue = healthy("green1:80"), nil
	for range 50 {
		p.Now = e.now
		g.Check(t.Context(), p)
		e.pass(500 * time.Millisecond)
	}
	if n := reach(reflect.ValueOf(g.streams), map[uintptr]bool{}); n == 0 || n > 4096 {
		t.Errorf("%d bytes are kept", n)
	}
	e.names["green1:80"] = "other"
	p.Now, p.Upstreams.Blue = e.now, healthy("blue1:80")
	switchertest.Says(t, g.Check(t.Context(), p), switcher.Refuse)
	if g.streams != nil {
		t.Error("a gate that has refused still keeps what it has seen")
	}
}

// reach adds up the bytes that a value leads to.
func reach(v reflect.Value, seen map[uintptr]bool) (n int) {
	switch v.Kind() {
	case reflect.String:
		return v.Len()
	case reflect.Pointer:
		if v.IsNil() || seen[v.Pointer()] {
			return 0
		}
		seen[v.Pointer()] = true
		return int(v.Type().Elem().Size()) + reach(v.Elem(), seen)
	case reflect.Slice:
		n = v.Cap() * int(v.Type().Elem().Size())
		for i := range v.Len() {
			n += reach(v.Index(i), seen)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			n += int(v.Type().Key().Size()+v.Type().Elem().Size()) + reach(k, seen) + reach(v.MapIndex(k), seen)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			n += reach(v.Field(i), seen)
		}
	}
	return n
}

func TestReasonsArePrintableAndShort(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for name, playlist := range map[string]string{
		"a name that is long":          "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n" + long + ".m3u8\n",
		"a name that is no text":       "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n%1b%5b31m%0a%0d%e2%80%aeb.m3u8\n",
		"a resolution that is no text": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=\x1b[31m" + long + ",CODECS=\"\x1b" + long + "\"\na.m3u8\n",
		"a segment that is long":       "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:9,\n%0a" + long + ".ts\n#EXTINF:2,\nb.ts\n#EXTINF:2,\nc.ts\n",
	} {
		for _, at := range []string{"green1:80", "blue1:80"} {
			t.Run(name+" at "+at, func(t *testing.T) {
				e := newEncoders()
				e.ladder(input("", e.now))
				e.files[at+"/main.m3u8"] = playlist
				for _, status := range []int{0, 404} {
					e.status[at+"/"+long+".m3u8"] = status
					e.status[at+"/%1b%5b31m%0a%0d%e2%80%aeb.m3u8"] = status
					g := &Gate{Paths: []string{"/main.m3u8"}, Upstreams: e}
					v := g.Check(t.Context(), input("", e.now))
					if v.Decision == switcher.Pass && !strings.Contains(v.Reason, "; but ") {
						t.Errorf("nothing is said of it: %s", v.Reason)
					}
					if len(v.Reason) > 600 {
						t.Errorf("a reason of %d bytes", len(v.Reason))
					}
					if i := strings.IndexFunc(v.Reason, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
						t.Errorf("not printable: %q", v.Reason)
					}
				}
			})
		}
	}
}

func TestAReasonStaysTheSameWhileNothingChanges(t *testing.T) {
	for name, spoil := range map[string]func(*encoders){
		"dead":        func(e *encoders) { e.dead["green1:80"] = true },
		"standing":    func(e *encoders) { e.stopped["green1:80/main.m3u8"] = e.now },
		"dead on air": func(e *encoders) { e.dead["blue1:80"], e.stopped["green1:80/main.m3u8"] = true, e.now },
		"behind by program date": func(e *encoders) {
			e.files["green1:80/main.m3u8"] = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PROGRAM-DATE-TIME:2026-11-21T11:00:00Z\n#EXTINF:2,\na.ts\n#EXTINF:2,\nb.ts\n#EXTINF:2,\nc.ts\n"
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEncoders()
			e.window = 20
			g := &Gate{Paths: []string{"/main.m3u8"}, Upstreams: e}
			untilTold(t, g, e, "one", 3*time.Second)
			spoil(e)
			untilTold(t, g, e, "one", 8*time.Second)
			v, _, reasons := untilToldOf(t, g, e, input("one", e.now), 10*time.Second)
			switchertest.Says(t, v, switcher.Wait)
			if len(reasons) != 1 {
				t.Errorf("%d reasons in 10 s: %s", len(reasons), strings.Join(reasons, "\n"))
			}
		})
	}
}
