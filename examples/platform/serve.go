package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/greenroom-proxy/greenroom/examples/platform/app"
	"github.com/greenroom-proxy/greenroom/examples/platform/registry"
)

func serve(ctx context.Context, o options) error {
	version, err := app.Named(o.version)
	if err != nil {
		return err
	}
	if o.color != "" && o.color != "blue" && o.color != "green" {
		return fmt.Errorf("-color %q: want blue or green", o.color)
	}
	b, err := o.open()
	if err != nil {
		return err
	}
	db, err := pgxpool.New(ctx, o.dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	l, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	instance := cmp.Or(o.instance, o.version+"@"+l.Addr().String())
	a := &app.App{Version: version, Instance: instance, DB: db, Bucket: b, Players: o.players, Log: o.log.With("instance", instance)}
	if o.color == "" {
		return app.Serve(ctx, a, l)
	}
	agent := registry.Agent(o.consul)
	if err := agent.Register(ctx, registry.Instance{
		ID: instance, Address: l.Addr().(*net.TCPAddr).AddrPort(), Color: o.color, Version: o.version,
	}); err != nil {
		return err
	}
	// It takes itself off the list first, and then ends its streams.
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	gone := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		gone <- agent.Deregister(serving, instance)
		end()
	})
	err = app.Serve(serving, a, l)
	if stop() { // it has ended by itself
		return errors.Join(err, agent.Deregister(serving, instance))
	}
	return errors.Join(err, <-gone)
}
