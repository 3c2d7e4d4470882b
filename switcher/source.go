package switcher

import "context"

// Source tells the pools of one service: from the config, a watched file, a
// catalog. switchertest.TestSource is what an implementation must pass.
type Source interface {
	// Run reports to sink until ctx ends; it blocks, and leaves nothing
	// running. It returns only ctx's error: trouble with the source is
	// reported to the sink, and tried again.
	Run(ctx context.Context, sink Sink) error
	// String names the source for status and logs, as "file pools/app.json".
	String() string
}

// Sink takes what a Source finds. Calls are never concurrent.
type Sink interface {
	// Update takes a complete, valid snapshot of both pools. An empty pool
	// in it is meant to be empty.
	Update(Pools)
	// Fail says that the source could not be read, or what it holds cannot
	// be used. The last good pools stay.
	Fail(error)
}
