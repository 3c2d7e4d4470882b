package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/greenroom-proxy/greenroom/examples/platform/stage"
)

// up runs the whole platform, with v1 on air, until the context ends or one of
// its programs does.
func up(ctx context.Context, o options) (err error) {
	fmt.Println("Starting PostgreSQL, Consul, an S3 server, ffmpeg, Greenroom and the app …")
	s, err := stage.Start(ctx, o.stage)
	if err != nil {
		return err
	}
	defer func() {
		fmt.Println("Stopping all of it …")
		err = errors.Join(err, s.Close())
	}()
	if err := s.Deploy(ctx, "blue", "v1"); err != nil {
		return err
	}
	fmt.Printf(welcome, s.URL, s.ConsulURL, s.Admin, s.Dir, s.Environment())
	return watch(ctx, s)
}

const welcome = `
  The platform     %s
  Consul           %s/ui
  Metrics          http://%s/metrics
  Logs             %s/logs

In another terminal, in this directory:

  . %s
  greenroom status
  greenroom plan app --to green             # refused: nothing is there
  ./platform migrate -to 3                  # expand and backfill
  ./platform app -version v2 -color green   # ends with Ctrl-C, so another terminal yet
  greenroom cutover app --to green          # a ramp, while you watch and chat
  greenroom rollback app                    # at once

README.md goes on from there. Ctrl-C stops all of it.
`

// watch returns when the context ends, or with an error that names the program
// that has.
func watch(ctx context.Context, s *stage.Stage) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := s.Ended(); err != nil {
				return err
			}
		}
	}
}
