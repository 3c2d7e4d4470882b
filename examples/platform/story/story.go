// Package story performs a deploy on a stage, before a crowd, and tells what
// happens: a column that is replaced while both versions serve, a rollback, a
// contract that is refused until nobody goes back, a cutover that the schema
// forbids, and a bad release that is taken back by itself.
//
// Each step must go as it is told, or the story ends with an error: so it is a
// test as well.
package story

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/greenroom-proxy/greenroom/examples/platform/crowd"
	"github.com/greenroom-proxy/greenroom/examples/platform/stage"
)

// Tell performs it, on a stage without an app, and returns what the crowd got of
// it.
func Tell(ctx context.Context, s *stage.Stage, out io.Writer) (crowd.Report, error) {
	t := &teller{ctx: ctx, out: out, stage: s, crowd: &crowd.Crowd{URL: s.URL}}
	visit, leave := context.WithCancel(ctx)
	left := make(chan struct{})
	t.opening()
	go func() {
		defer close(left)
		t.crowd.Run(visit)
	}()
	t.onAir()
	t.expand()
	t.cutover()
	t.contract()
	t.badRelease()
	t.end()
	leave()
	<-left
	return t.crowd.Report(), t.err
}

func (t *teller) opening() {
	t.say("Greenroom stands before an app that runs in two colors. One is on air, the other waits. This is a real\ndeploy on this machine, with viewers. After each $ is a command, below it what it said.")
	t.chapter("v1 is on air, in blue")
	t.deploy("blue", "v1")
	t.until("blue is healthy", func(ctx context.Context) error {
		_, err := t.crowd.Look(ctx)
		return err
	})
}

func (t *teller) onAir() {
	t.say("Viewers open %s: some watch the live stream, some chat, and a new one comes 20 times a\nsecond. Open it, too: the badge at the top says which color answers.", t.stage.URL)
	t.until("the live stream to be watched", func(context.Context) error {
		if r := t.crowd.Report(); r.Segments < 6 || r.Heard == 0 {
			return fmt.Errorf("%d segments were watched, %d messages seen", r.Segments, r.Heard)
		}
		return nil
	})
	t.say("\nSomebody uploads a video, straight to the bucket, by a URL that the app has signed. A worker that belongs\nto neither color encodes it.")
	t.do(func(ctx context.Context) error {
		video, err := exec.CommandContext(ctx, "ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=10",
			"-c:v", "libx264", "-preset", "ultrafast", "-movflags", "frag_keyframe+empty_moov", "-f", "mp4", "-").Output()
		if err != nil {
			return fmt.Errorf("ffmpeg: %w", err)
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return t.crowd.Upload(ctx, "ten seconds", video)
	})
	t.greenroom(0, "status", "app")
}

func (t *teller) expand() {
	t.do(func(ctx context.Context) error {
		return t.stage.Postgres.Exec(ctx, `INSERT INTO titles (name, state, length_text)
			SELECT 'from the archive, ' || i, 'failed', '0:10:00' FROM generate_series(1, 3000) i`)
	})
	t.chapter("v2 needs a column that is not there")
	t.say("v1 keeps the length of a title as text, v2 as milliseconds. So first the new column is added beside the old\none, and filled for 3,000 titles of an archive in small batches. v1 goes on serving.")
	t.migrate(3, "")
	t.deploy("green", "v2")
	t.say("v2 runs in green, without viewers. It writes both columns, so v1 can take over again until the old one is\ndropped. Would a cutover go through? plan asks the gates, and moves nothing:")
	t.until("green to be healthy", t.open("green"))
	t.greenroom(0, "plan", "app", "--to", "green")
}

func (t *teller) cutover() {
	t.chapter("blue to green, back, and again")
	t.greenroom(0, "cutover", "app", "--to", "green", "--reason", "v2")
	t.say("Somebody has doubts. A rollback asks no gate, and has no ramp:")
	t.greenroom(0, "rollback", "app", "--reason", "doubts")
	t.say("The doubts were unfounded. Again, and this time without a ramp:")
	t.greenroom(0, "cutover", "app", "--to", "green", "--ramp", "", "--reason", "v2, again")
}

func (t *teller) contract() {
	t.chapter("the old column goes, but not yet")
	t.say("For 30 seconds (in earnest: half an hour) somebody may want v1 back, and v1 needs its column. The migration\nasks Greenroom, and is refused:")
	t.greenroom(20, "rollback-window", "app")
	t.migrate(4, "the rollback window is not closed")
	t.say("So it waits for the window to close.")
	t.greenroom(0, "rollback-window", "app", "--wait")
	t.migrate(4, "")
	t.say("v1 still runs in blue, and its health checks pass. But its column is gone. It says itself which schemas it\nworks with, so a cutover to it is refused:")
	t.greenroom(10, "cutover", "app", "--to", "blue", "--gate-timeout", "1s")
	t.do(func(context.Context) error { t.stage.Retire("blue"); return nil })
}

func (t *teller) badRelease() {
	t.chapter("v3 is bad, and no health check knows")
	t.say("v3 takes v1's place in blue. It recommends titles by what a viewer has played, and divides by zero for whoever\nhas played nothing. Its health checks pass.")
	t.deploy("blue", "v3")
	t.until("v3 to be let on air", t.open("blue"))
	begun := time.Now()
	before := t.crowd.Report().Catalog
	t.beforeV3 = before["blue"]
	t.greenroom(15, "cutover", "app", "--to", "blue", "--reason", "v3")
	after := t.crowd.Report().Catalog
	failed := after["blue"].Failed - t.beforeV3.Failed
	t.say("Nobody touched it. %d of %d answers of v3 were errors, %d of v2's beside it; after %s all viewers were back\non v2.",
		failed, failed+after["blue"].OK-t.beforeV3.OK, after["green"].Failed-before["green"].Failed, time.Since(begun).Round(time.Second))
	t.greenroom(0, "history", "app")
}

// end says what the crowd got, and whether that is what it should have.
func (t *teller) end() {
	t.chapter("what the viewers got")
	t.do(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return t.crowd.Settle(ctx)
	})
	r, leak := t.crowd.Report(), t.leak()
	t.say("the catalog      %d answers, %d of them errors: all of v3\nthe chat         %d messages, %d lost, %d doubled; %d times somebody connected again\nthe live stream  %d segments, %.1f MB, %d stalls; %d bytes of media went through the app\n\nNow you: make platform.",
		r.Catalog["blue"].OK+r.Catalog["green"].OK, r.Catalog["blue"].Failed, r.Said, r.Lost, r.Doubled, r.Again,
		r.Segments, float64(r.Bytes)/1e6, r.Stalls, leak)
	t.do(func(context.Context) error {
		if other := r.Catalog[""].Failed + r.Catalog["green"].Failed + t.beforeV3.Failed; other+r.Lost+r.Doubled+r.Stalls+leak > 0 {
			return fmt.Errorf("the viewers noticed: %d errors of other versions than v3, %d messages lost, %d doubled, %d stalls, %d bytes of media through the app",
				other, r.Lost, r.Doubled, r.Stalls, leak)
		}
		return nil
	})
}

// leak is how many bytes of media have gone through the app, by what Greenroom
// says.
func (t *teller) leak() (bytes int) {
	t.do(func(ctx context.Context) error {
		said, _, err := t.stage.Greenroom(ctx, "status", "app", "--json")
		if err != nil {
			return err
		}
		var status struct {
			Services []struct {
				MediaLeak struct {
					Bytes       int
					UploadBytes int `json:"upload_bytes"`
				} `json:"media_leak"`
			}
		}
		if err := json.Unmarshal([]byte(said), &status); err != nil || len(status.Services) != 1 {
			return fmt.Errorf("greenroom status says %.200s", said)
		}
		of := status.Services[0].MediaLeak
		bytes = of.Bytes + of.UploadBytes
		return nil
	})
	return bytes
}

// open asks whether all gates to a color are.
func (t *teller) open(color string) func(context.Context) error {
	return func(ctx context.Context) error {
		said, code, err := t.stage.Greenroom(ctx, "plan", "app", "--to", color)
		if err == nil && code != 0 {
			err = errors.New(said)
		}
		return err
	}
}

// patience is how long the story waits for what must come about.
const patience = time.Minute

func (t *teller) until(what string, ask func(context.Context) error) {
	t.do(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			err := ask(ctx)
			if err == nil {
				return nil
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("waited for %s: %w", what, err)
			}
		}
	})
}
