package viewers_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/player"
)

// viewers are pages in one Chromium: see view.mjs.
type viewers struct {
	t       *testing.T
	orders  *json.Encoder
	replies *json.Decoder
	said    bytes.Buffer // on stderr; complete when stdout has ended
}

// order is one line to view.mjs, with what the order needs.
type order map[string]any

// watch starts Chromium, which ends with the test.
func watch(t *testing.T, url string) *viewers {
	t.Helper()
	b, err := player.FindBrowser()
	must(t, err)
	v := &viewers{t: t}
	cmd := exec.Command(b.Node, "view.mjs", b.Chromium, b.Dir, url)
	cmd.Stderr = &v.said
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	v.orders, v.replies = json.NewEncoder(in), json.NewDecoder(out)
	t.Cleanup(func() {
		_ = in.Close()
		late := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Signal(syscall.SIGTERM) }) // it takes Chromium with it
		defer late.Stop()
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the viewers: %v: %s", err, v.said.String())
		}
	})
	return v
}

// do gives an order, and waits until it is carried out.
func (v *viewers) do(o order, reply any) {
	v.t.Helper()
	if err := v.orders.Encode(o); err != nil {
		v.t.Fatalf("%v: %v: %s", o, err, v.said.String())
	}
	var text json.RawMessage
	if err := v.replies.Decode(&text); err != nil {
		v.t.Fatalf("%v: %v: %s", o, err, v.said.String())
	}
	var failed struct{ Error string }
	must(v.t, json.Unmarshal(text, &failed))
	if failed.Error != "" {
		v.t.Fatal(failed.Error)
	}
	if reply != nil {
		must(v.t, json.Unmarshal(text, reply))
	}
}

// seen is what a viewer has had to see: of those who play nothing only what
// failed.
type seen struct {
	// Seconds is how long it was looked at, Played how much of the stream was seen,
	// without jumps.
	Seconds, Played float64
	// Stalls is how often the picture stood for more than 250 ms with nothing left to
	// show, or for more than a second.
	Stalls         int
	StalledSeconds float64
	// Hitches is how often it stood for more than 250 ms: where there was more to
	// show, the machine was too busy to.
	Hitches int
	// Jumps is how often more than half a second was passed over, or seen again.
	Jumps int
	// Waiting is how often Chromium said that it had nothing to show.
	Waiting int
	// Failed are requests that were not answered, or by 400 and above, and errors of
	// the page.
	Failed []string
}

func (s seen) String() string {
	return fmt.Sprintf("played %.1fs in %.1fs; %d stalls of %.1fs, %d hitches, %d jumps, %d waiting; failed %q",
		s.Played, s.Seconds, s.Stalls, s.StalledSeconds, s.Hitches, s.Jumps, s.Waiting, s.Failed)
}

// count is what they have seen since the last count.
func (v *viewers) count() map[string]seen {
	v.t.Helper()
	all := make(map[string]seen)
	v.do(order{"do": "count"}, &all)
	return all
}

// upload has a viewer upload a file at so many bytes per second, or as fast as it
// can be; uploaded, its end, must come after.
func (v *viewers) upload(name, file, title string, rate int) {
	v.t.Helper()
	v.do(order{"do": "upload", "name": name, "file": file, "title": title, "rate": rate}, nil)
}

// uploaded has the upload go as fast as it can, and waits for its end. It returns
// how far it was before, 0 to 1, and how long all of it took.
func (v *viewers) uploaded() (before float64, took time.Duration) {
	v.t.Helper()
	var u struct {
		Before, Seconds float64
		Said            string
	}
	v.do(order{"do": "uploaded"}, &u)
	if u.Said != "It is whole, and will be encoded." {
		v.t.Fatalf("the page says of the upload: %s", u.Said)
	}
	return u.Before, time.Duration(u.Seconds * float64(time.Second))
}

// badge waits until all pages say that a color and a version answer, and have had
// so many connections for their chats, of which a move ends one. It returns what
// each badge has said since its page was opened.
func (v *viewers) badge(text string, connections int) map[string][]string {
	v.t.Helper()
	all := make(map[string][]string)
	v.do(order{"do": "badge", "text": text, "connections": connections}, &all)
	return all
}
