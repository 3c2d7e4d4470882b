// Platform is a small video platform, to be put behind Greenroom: an app in
// three versions, a worker, a live stream and the migrations of their database.
// README.md says how they go together.
//
//	platform up                  all of it, on this machine
//	platform demo                a deploy on it, told
//	platform app -version v2 -listen 127.0.0.1:9002
//	platform worker
//	platform live
//	platform migrate -to 3
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/greenroom-proxy/greenroom/examples/platform/bucket"
	"github.com/greenroom-proxy/greenroom/examples/platform/database"
	"github.com/greenroom-proxy/greenroom/examples/platform/feed"
	"github.com/greenroom-proxy/greenroom/examples/platform/queue"
	"github.com/greenroom-proxy/greenroom/examples/platform/stage"
	"github.com/greenroom-proxy/greenroom/examples/platform/worker"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	context.AfterFunc(ctx, cancel) // a second Ctrl-C does not wait for anything
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "platform:", err)
		os.Exit(1)
	}
}

// options are those of all parts; each uses some.
type options struct {
	dsn, keys, version, listen, instance, players, color, consul string
	name, ffmpeg, window                                         string
	bucket                                                       bucket.Config
	stage                                                        stage.Config
	lease                                                        time.Duration
	to                                                           int64
	log                                                          *slog.Logger
}

func run(ctx context.Context, args []string) error {
	parts := map[string]func(context.Context, options) error{
		"app": serve, "worker": work, "live": stream, "migrate": migrate, "bucket": makeBucket, "up": up, "demo": demo,
	}
	if len(args) == 0 || parts[args[0]] == nil {
		return errors.New("say what to run: up, demo, or app, worker, live, migrate or bucket")
	}
	o := options{log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	f := flag.NewFlagSet("platform "+args[0], flag.ContinueOnError)
	f.StringVar(&o.dsn, "db", os.Getenv("PLATFORM_DB"), "how to connect to PostgreSQL; or PLATFORM_DB")
	f.StringVar(&o.bucket.Endpoint, "s3", cmp.Or(os.Getenv("PLATFORM_S3"), "http://127.0.0.1:9000"), "the S3 server's URL; or PLATFORM_S3")
	f.StringVar(&o.bucket.Public, "s3-public", os.Getenv("PLATFORM_S3_PUBLIC"), "the S3 server's URL for browsers; or PLATFORM_S3_PUBLIC; default: that of -s3")
	f.StringVar(&o.bucket.Name, "bucket", "platform", "the bucket's name")
	f.StringVar(&o.keys, "s3-keys", os.Getenv("PLATFORM_S3_KEYS"), "a file with <key> <secret>; or PLATFORM_S3_KEYS")
	f.StringVar(&o.version, "version", "v1", "app: which version to be: v1, v2 or v3")
	f.StringVar(&o.listen, "listen", "127.0.0.1:0", "app: where to listen")
	f.StringVar(&o.color, "color", "", "app: in which pool to be, blue or green; default: not in Consul")
	f.StringVar(&o.consul, "consul", os.Getenv("PLATFORM_CONSUL"), "app: Consul's agent; or PLATFORM_CONSUL")
	f.StringVar(&o.instance, "instance", "", "app: its name; default: version and address")
	f.StringVar(&o.players, "players", os.Getenv("PLATFORM_PLAYERS"), "app: the directory with hls.min.js; or PLATFORM_PLAYERS")
	f.StringVar(&o.name, "name", fmt.Sprintf("worker-%d", os.Getpid()), "worker: its name")
	f.DurationVar(&o.lease, "lease", 30*time.Second, "worker: after which silence a job is another's")
	f.StringVar(&o.ffmpeg, "ffmpeg", "ffmpeg", "worker, live: the program")
	f.Int64Var(&o.to, "to", -1, "migrate: to which version; without it, print where the schema is")
	f.StringVar(&o.window, "window", "", "migrate: what to ask before a contract, as 'greenroom rollback-window app'")
	f.StringVar(&o.stage.Dir, "dir", "state", "up, demo: where logs and data go")
	f.StringVar(&o.stage.Edge, "edge", "localhost:8080", "up, demo: what viewers open")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%q is not expected", strings.Join(f.Args(), " "))
	}
	return parts[args[0]](ctx, o)
}

func (o options) open() (*bucket.Bucket, error) {
	if err := o.bucket.Keys(o.keys); err != nil {
		return nil, fmt.Errorf("-s3-keys: %w", err)
	}
	return bucket.New(o.bucket), nil
}

func work(ctx context.Context, o options) error {
	b, err := o.open()
	if err != nil {
		return err
	}
	if o.lease < time.Second {
		return errors.New("-lease is at least 1s")
	}
	db, err := pgxpool.New(ctx, o.dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	var bell feed.Bell
	listening := make(chan struct{})
	go func() { defer close(listening); bell.Run(ctx, o.dsn, o.log) }()
	worker.Worker{
		Name: o.name, Queue: queue.Queue{DB: db, Lease: o.lease}, Bucket: b, Bell: &bell, FFmpeg: o.ffmpeg, Log: o.log,
	}.Run(ctx)
	<-listening
	return nil
}

func stream(ctx context.Context, o options) error {
	b, err := o.open()
	if err != nil {
		return err
	}
	return worker.Live{Bucket: b, FFmpeg: o.ffmpeg, Log: o.log}.Run(ctx)
}

func makeBucket(ctx context.Context, o options) error {
	b, err := o.open()
	if err != nil {
		return err
	}
	return b.Make(ctx)
}

func migrate(ctx context.Context, o options) error {
	conn, err := pgx.Connect(ctx, o.dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if o.to >= 0 {
		return database.Runner{Conn: conn, Window: database.Command(o.window), Log: o.log}.To(ctx, o.to)
	}
	at, err := database.Version(ctx, conn)
	if err != nil {
		return err
	}
	all, err := database.Migrations()
	if err != nil {
		return err
	}
	for _, m := range all {
		state := "to do"
		if m.Version <= at {
			state = "done"
		}
		fmt.Printf("%d  %-8s  %-5s  %-30s  apps %s\n", m.Version, m.Kind, state, m.Name, strings.Join(m.Apps, ", "))
	}
	return nil
}
