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

// priorSuffix is what the name of the snapshot before the latest ends with.
const priorSuffix = ".prev"

// Remember returns source, with each of its snapshots kept at path, and the one
// before it beside that, so that an edge that starts while source cannot be asked
// knows the pools of before: see Recall. A snapshot that cannot be written is
// logged and told all the same.
func Remember(source switcher.Source, path string, log *slog.Logger) switcher.Source {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &remembered{Source: source, path: path, log: log}
}

// Recall returns the pools that Remember has kept at path, and none where it
// has kept nothing yet. Where the latest snapshot cannot be used it returns the
// one before, if that can be, and the error all the same.
func Recall(path string) (switcher.Pools, error) {
	pools, err := recall(path)
	if err == nil {
		return pools, nil
	}
	before, priorErr := recall(path + priorSuffix)
	switch {
	case missing(err) && missing(priorErr):
		return switcher.Pools{}, nil
	case missing(priorErr):
		return switcher.Pools{}, fmt.Errorf("%w; there is no snapshot before it", err)
	case priorErr != nil:
		return switcher.Pools{}, fmt.Errorf("%w; and of the snapshot before it: %w", err, priorErr)
	}
	return before, fmt.Errorf("%w; using the snapshot before it", err)
}

// recall reads one snapshot.
func recall(path string) (switcher.Pools, error) {
	doc, _, err := readRegular(path, maxPoolFile)
	if err != nil {
		return switcher.Pools{}, fmt.Errorf("%s: %w", path, err)
	}
	content, err := unseal(doc)
	if err != nil {
		return switcher.Pools{}, fmt.Errorf("%s: %w", path, err)
	}
	pools, err := ParsePools(content)
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

// writePools replaces the snapshot at path at once, and keeps the one before. What
// cannot be used does not displace what can; the first snapshot is written twice.
func writePools(path string, pools switcher.Pools) error {
	content, err := json.Marshal(struct {
		Version int `json:"version"`
		switcher.Pools
	}{poolVersion, filled(pools)})
	if err != nil {
		return err
	}
	doc, err := seal(content, "the snapshot", maxPoolFile)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return err
	}
	if _, bad := recall(path); bad == nil {
		if err := os.Rename(path, path+priorSuffix); err != nil {
			return err
		}
	} else if _, bad := recall(path + priorSuffix); bad != nil {
		if err := writeWhole(path+priorSuffix, doc); err != nil {
			return err
		}
	}
	return writeWhole(path, doc)
}

// writeWhole replaces the content of a file at once, and returns when it would survive a
// power failure.
func writeWhole(path string, doc []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, remove(f.Name()))
		}
	}()
	_, err = f.Write(doc)
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
