//go:build !race

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/greenroom-proxy/greenroom/internal/player"
	"github.com/greenroom-proxy/greenroom/mediaedge/s3test"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// appOf is an app that has nothing to do with media.
func appOf(t *testing.T, color string) *backend {
	return newBackend(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/media/") {
			t.Errorf("%s was asked for %s", color, r.URL.Path)
		}
		fmt.Fprint(w, color)
	}))
}

// Each stream is played twice at the same time: through the edge, and beside it
// from a plain file server. If the machine is too busy for the latter it is done
// once more. The live streams come by HTTP/2.
func TestStreamsPlayOnInABrowserWhileTenCutoversHappen(t *testing.T) {
	streams := []player.Stream{
		{Format: player.HLSTS, Length: 30 * time.Second},
		{Format: player.DASH, Length: 30 * time.Second},
		{Format: player.HLSMP4},
		{Format: player.DASH},
	}
	const live = 2 // the first of those that are live
	dirs := player.Start(t, streams...)
	e := newEdge(t, "")
	e.write(fmt.Sprintf("service app {\n blue %s\n green %s\n health http /healthz\n}", appOf(t, "blue").address, appOf(t, "green").address),
		mediaFromABucket(t, dirs)+siteBlueGreen)
	e.start()
	e.healthy()

	var views []player.View
	for i, s := range streams {
		control := httptest.NewServer(player.Files(dirs[i]))
		t.Cleanup(control.Close)
		through := fmt.Sprintf("%s/media/%d/%s", []string{"http://" + e.http, "https://localhost:" + port(e.https)}[i/2], i, s.Index())
		cmcd := []string{"query", "headers"}[i%2]
		for _, url := range []string{through, control.URL + "/" + s.Index()} {
			views = append(views, player.View{URL: url, Player: s.Player(), For: max(30*time.Second, 2*s.Length), CMCD: cmcd})
		}
	}
	results := playWhileFlipping(t, e, dirs[live], views)
	for range 2 {
		if !slices.ContainsFunc(results, func(pair [2]player.Result) bool { return !pair[1].Smooth() }) {
			break
		}
		results = playWhileFlipping(t, e, dirs[live], views)
	}
	for i, pair := range results {
		if err := player.Compare(pair[0], pair[1]); err != nil {
			t.Errorf("%s: %v", streams[i], err)
		}
		// After the players, or it would warm the cache for them.
		found, err := player.Probe(t.Context(), views[2*i].URL, max(streams[i].Length, time.Second))
		if err != nil || found.Duration.Round(time.Second) != streams[i].Length || len(found.Tracks) < 3 {
			t.Errorf("%s through the edge: %+v, %v", streams[i], found, err)
		}
	}
	if e.stop(); t.Failed() {
		e.explain()
	}
}

// playWhileFlipping plays views, of which each second one is the control run of
// the first, and has ten cutovers happen meanwhile: one for each segment of a
// live stream, from its third on.
func playWhileFlipping(t *testing.T, e *edge, live string, views []player.View) (results [][2]player.Result) {
	t.Helper()
	var all []player.Result
	var err error
	played := make(chan struct{})
	over := func() bool {
		select {
		case <-played:
			return true
		default:
			return false
		}
	}
	go func() {
		defer close(played)
		all, err = player.Play(t.Context(), views...)
	}()
	segments := func() int {
		found, _ := filepath.Glob(filepath.Join(live, "0_*.m4s"))
		return len(found)
	}
	first := segments() + 3
	for i := range 10 {
		e.until("there is another segment", func() bool { return over() || segments() >= first+i })
		to := e.view().Active.Other()
		if _, err := e.client().Cutover(t.Context(), switcher.CutoverRequest{Request: switcher.Request{Services: []string{"app"}}, To: to}); err != nil {
			t.Fatal(err)
		}
		if got := answerOf(t, http.DefaultClient, "http://"+e.http+"/"); got != to.String() {
			t.Errorf("after the cutover to %s %s answers", to, got)
		}
	}
	if over() {
		t.Errorf("the streams ended before the cutovers")
	}
	if <-played; err != nil {
		t.Fatal(err)
	}
	for pair := range slices.Chunk(all, 2) {
		t.Logf("run:     %s\ncontrol: %s", pair[0], pair[1])
		results = append(results, [2]player.Result(pair))
	}
	return results
}

// mediaFromABucket publishes streams in a private bucket, each below a number,
// and returns the part of a site that serves them.
func mediaFromABucket(t *testing.T, dirs []string) (site string) {
	t.Helper()
	const bucket = "streams"
	server := s3test.Start(t)
	server.CreateBucket(t, bucket)
	reader := server.NewAccount(t)
	server.Allow(t, bucket, reader, "s3:GetObject")
	for i, dir := range dirs {
		player.Publish(t, dir, player.SinkFunc(func(ctx context.Context, name string, body []byte) error {
			_, err := server.API.PutObject(ctx, &s3.PutObjectInput{
				Bucket: aws.String(bucket), Key: aws.String(fmt.Sprintf("media/%d/%s", i, name)),
				Body: bytes.NewReader(body), ContentType: aws.String(player.ContentType(name)),
			})
			return err
		}))
	}
	return fmt.Sprintf(`media_edge {
		path /media/
		origin %s {
			s3 %s {
				region %s
				keys %s
			}
		}
		cors *
	}
	`, server.URL(), bucket, s3test.Region, reader.KeyFile(t))
}
