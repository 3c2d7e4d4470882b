package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/greenroom-proxy/greenroom/examples/platform/stage"
	"github.com/greenroom-proxy/greenroom/examples/platform/story"
)

// demo performs a deploy, and tells what happens.
func demo(ctx context.Context, o options) error {
	fmt.Println("Starting PostgreSQL, Consul, an S3 server, ffmpeg and Greenroom …")
	s, err := stage.Start(ctx, o.stage)
	if err != nil {
		return err
	}
	_, err = story.Tell(ctx, s, os.Stdout)
	return errors.Join(err, s.Close())
}
