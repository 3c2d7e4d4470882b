package switcher

import (
	"context"
	"time"
)

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

// Reporter is a Source that knows more than its last news.
type Reporter interface {
	// Report is of now. It may be called at any time, and must not block.
	Report() SourceReport
}

// SourceReport is how a source fares.
type SourceReport struct {
	// Answered is when the source last had a good answer, also if nothing
	// had changed: the age of the pools. The zero time: never.
	Answered time.Time `json:"answered,omitzero"`
	// Notes are what an operator should know of the answer, a sentence
	// each, as which instances cannot be used.
	Notes []string `json:"notes,omitempty"`
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
