package proxy

import (
	"context"
	"errors"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// retired is a service that a reload has taken out of the config, while it still
// has something under way.
type retired struct {
	since   time.Time
	options switcher.Options
	pace    Pace
}

// retireStep is how often what is left of a service is looked at.
const retireStep = time.Second

// retire drains both colors of a service that is in no config any more: its
// streams end at the deadlines that it had. The caller holds mu.
func (rt *runtime) retire(name string, last *edge) {
	r := &retired{since: time.Now(), options: last.config.switcherConfig().Options.OrDefaults()}
	if last.config.Evict != nil {
		r.pace = *last.config.Evict
	}
	rt.retired.Store(name, r)
	go func() {
		defer rt.retired.CompareAndDelete(name, r)
		for rt.left(name) > 0 {
			lasts := time.Since(r.since)
			for _, c := range switcher.Colors {
				rt.usher.show(name, c, r.since, func(e *entry) bool { return lasts >= r.options.Deadline(e.streamKind()) })
			}
			time.Sleep(retireStep)
			if now, _ := rt.retired.Load(name); now != r {
				return // it is back
			}
		}
		rt.log.Info("nothing is left of the service that was removed", "service", name)
	}()
}

// left is how many exchanges a service has, of both colors.
func (rt *runtime) left(name string) int {
	return len(rt.ledger.of(name, func(*entry) bool { return true }))
}

// knows returns an error for a service that neither is there nor has anything
// under way.
func (rt *runtime) knows(ctx context.Context, service string) error {
	_, err := rt.switcher.View(ctx, service)
	if errors.Is(err, switcher.ErrUnknownService) && rt.left(service) > 0 {
		return nil
	}
	return err
}
