package player

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// The players.
const (
	HLSJS  = "hls"
	DASHJS = "dash"
)

// View is one stream in one player.
type View struct {
	// URL is where the stream's index is. A certificate is not checked.
	URL string
	// Player is HLSJS or DASHJS.
	Player string
	// For is how long it is played, from its first picture on; shorter, if it ends.
	For time.Duration
	// CMCD is where the player puts what it reports of itself: "query",
	// "headers", or "" for nowhere. Each view is a session with an id of its own.
	CMCD string
	// CMCDVersion is 1 or 2. Zero: 1.
	CMCDVersion int
}

// Result says how a View went.
type Result struct {
	// Started: the picture began to move, within 30 s.
	Started      bool    `json:"started"`
	StartSeconds float64 `json:"startSeconds"`
	// Seconds is how long it was watched from then on, Played how many seconds of
	// the stream were seen, without jumps.
	Seconds float64 `json:"seconds"`
	Played  float64 `json:"played"`
	// Ended: the stream was seen to its end.
	Ended bool `json:"ended"`

	// Stalls is how often the picture stood for more than 250 ms.
	Stalls         int     `json:"stalls"`
	StalledSeconds float64 `json:"stalledSeconds"`
	// Jumps is how often more than half a second was passed over, or seen again.
	Jumps int `json:"jumps"`
	// Waiting is how often Chromium said that it had nothing to show.
	Waiting int `json:"waiting"`

	// Fatal is how many errors the player gave up at. Errors are all that it
	// reported, the first 20.
	Fatal  int      `json:"fatal"`
	Errors []string `json:"errors"`
	// Requests is how many were answered. Failed are those that were not, or by
	// a status of 400 or above: status and path of the first 20. A request that
	// the player itself gave up is none of them.
	Requests int      `json:"requests"`
	Failed   []string `json:"failed"`

	Frames  int `json:"frames"`
	Dropped int `json:"dropped"`
	// Levels are the bits per second that there were to choose from, Switches how
	// often the player chose again.
	Levels   []int `json:"levels"`
	Switches int   `json:"switches"`
}

// String is a Result in one line.
func (r Result) String() string {
	return fmt.Sprintf("started %t after %.1fs, played %.1fs in %.1fs, ended %t; %d stalls of %.1fs, %d jumps, %d waiting; %d fatal errors of %q; "+
		"%d requests, failed %q; %d of %d frames dropped; %d switches of %d levels",
		r.Started, r.StartSeconds, r.Played, r.Seconds, r.Ended, r.Stalls, r.StalledSeconds, r.Jumps, r.Waiting, r.Fatal, r.Errors,
		r.Requests, r.Failed, r.Dropped, r.Frames, r.Switches, len(r.Levels))
}

// Play plays all views at the same time, each in a page of one new Chromium, and
// returns their results in the same order.
func Play(ctx context.Context, views ...View) ([]Result, error) {
	b, err := FindBrowser()
	if err != nil {
		return nil, err
	}
	orders, err := orders(views)
	if err != nil {
		return nil, err
	}
	var said limited
	cmd := exec.CommandContext(ctx, b.Node, "play.mjs", b.Chromium)
	cmd.Dir, cmd.Stdin, cmd.Stderr = b.Dir, bytes.NewReader(orders), &said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it takes Chromium with it
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("player: node play.mjs: %w", ctx.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("player: node play.mjs: %w: %s", err, tail(said))
	}
	results := make([]Result, len(views))
	decoder := json.NewDecoder(bytes.NewReader(out))
	for i := range results {
		if err := decoder.Decode(&results[i]); err != nil {
			return nil, fmt.Errorf("player: result %d of node play.mjs: %w", i+1, err)
		}
	}
	return results, nil
}

// orders are the views as play.mjs wants them.
func orders(views []View) ([]byte, error) {
	type order struct {
		URL         string  `json:"url"`
		Player      string  `json:"player"`
		Seconds     float64 `json:"seconds"`
		CMCD        string  `json:"cmcd"`
		CMCDVersion int     `json:"cmcdVersion"`
	}
	list := make([]order, len(views))
	for i, v := range views {
		list[i] = order{v.URL, v.Player, v.For.Seconds(), v.CMCD, max(1, v.CMCDVersion)}
	}
	return json.Marshal(list)
}

// Browser is what a test needs to drive Chromium.
type Browser struct {
	// Node and Chromium are programs.
	Node, Chromium string
	// Dir has playwright-core in its node_modules.
	Dir string
}

// FindBrowser finds what "make tools" has installed, and what is on PATH.
func FindBrowser() (b Browser, err error) {
	if b.Dir, err = browserDir(); err != nil {
		return b, err
	}
	if b.Node, err = look("node"); err != nil {
		return b, err
	}
	b.Chromium, err = look("chromium", "chromium-browser", "google-chrome")
	return b, err
}

// browserDir looks upwards from the directory of the test for the one with
// play.mjs and its packages.
func browserDir() (string, error) {
	up, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		dir := filepath.Join(up, "internal", "player", "browser")
		if _, err := os.Stat(filepath.Join(dir, "play.mjs")); err == nil {
			if _, err := os.Stat(filepath.Join(dir, "node_modules", "playwright-core")); errors.Is(err, fs.ErrNotExist) {
				return "", fmt.Errorf("player: the packages of %s are not installed: run \"make tools\"", dir)
			}
			return dir, nil
		}
		if up == filepath.Dir(up) {
			return "", errors.New("player: no internal/player/browser above the test's directory")
		}
		up = filepath.Dir(up)
	}
}
