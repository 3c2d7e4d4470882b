// Package stage runs the whole platform on one machine: PostgreSQL, Consul, a
// server that speaks S3, the worker, the live stream, Greenroom in front of it
// all, and the app in whichever versions are asked for. `platform up`, the demo
// and the test in a browser stand on it.
//
//	s, err := stage.Start(ctx, config)
//	…
//	defer s.Close()
//	err = s.Deploy(ctx, "blue", "v1")  // two instances, which register in Consul
//	err = s.Migrate(ctx, 3)
//	err = s.Deploy(ctx, "green", "v2")
//	out, code, err := s.Greenroom(ctx, "cutover", "app", "--to", "green")
//
// All of it listens on loopback. What it keeps is gone when it is closed, but for
// the logs.
package stage
