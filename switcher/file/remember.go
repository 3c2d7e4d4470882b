package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// Remember returns source, with each of its snapshots kept in a pool file at
// path, so that an edge that starts while source cannot be asked knows the
// pools of before: see Recall. A snapshot that cannot be written is logged and
// told all the same.
func Remember(source switcher.Source, path string, log *slog.Logger) switcher.Source {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &remembered{Source: source, path: path, log: log}
}

// Recall returns the pools that Remember has kept at path, and none where it
// has kept nothing yet.
func Recall(path string) (switcher.Pools, error) {
	data, _, err := readRegular(path, maxPoolFile)
	if missing(err) {
		return switcher.Pools{}, nil
	}
	if err != nil {
		return switcher.Pools{}, fmt.Errorf("%s: %w", path, err)
	}
	pools, err := ParsePools(data)
	if err != nil {
		return switcher.Pools{}, fmt.Errorf("%s: %w", path, err)
	}
	return pools, nil
}

type remembered struct {
	switcher.Source
	path string
	log  *slog.Logger
}

// Run implements switcher.Source.
func (r *remembered) Run(ctx context.Context, sink switcher.Sink) error {
	return r.Source.Run(ctx, &remembering{sink, r})
}

// Report implements switcher.Reporter for a source that does.
func (r *remembered) Report() switcher.SourceReport {
	if reporter, ok := r.Source.(switcher.Reporter); ok {
		return reporter.Report()
	}
	return switcher.SourceReport{}
}

type remembering struct {
	switcher.Sink
	*remembered
}

// Update implements switcher.Sink.
func (r *remembering) Update(pools switcher.Pools) {
	if err := writePools(r.path, pools); err != nil {
		r.log.Warn("the pools cannot be remembered for the next start", "path", r.path, "error", err)
	}
	r.Sink.Update(pools)
}

// writePools replaces a pool file at once.
func writePools(path string, pools switcher.Pools) (err error) {
	doc, err := json.MarshalIndent(struct {
		Version int `json:"version"`
		switcher.Pools
	}{poolVersion, filled(pools)}, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, filepath.Base(path)+".tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, remove(f.Name()))
		}
	}()
	_, err = f.Write(append(doc, '\n'))
	if err = errors.Join(err, f.Chmod(fileMode), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// filled has no nil pool, which a pool file may not have.
func filled(pools switcher.Pools) switcher.Pools {
	for _, c := range switcher.Colors {
		if pools.Of(c) == nil {
			*pools.At(c) = []switcher.Upstream{}
		}
	}
	return pools
}
