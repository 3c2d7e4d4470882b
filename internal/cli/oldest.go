package cli

import (
	"context"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// How much of the streams that drains wait for a live watch shows, and how
// often it asks.
const (
	oldestShown    = 5
	oldestServices = 4
	oldestEvery    = time.Second
)

// oldest are the oldest streams of services that drain. Its zero value has
// none.
type oldest struct {
	asked time.Time
	pages map[string]switcher.StreamPage // by service
}

// look asks for the streams, unless that was a moment ago. An edge that does
// not tell costs nothing but these lines.
func (o *oldest) look(ctx context.Context, e edge, views []switcher.ServiceView, now time.Time) {
	if now.Sub(o.asked) < oldestEvery {
		return
	}
	o.asked, o.pages = now, make(map[string]switcher.StreamPage)
	for i := range views {
		v := &views[i]
		d := drainOf(v)
		if d == nil || v.Pool(d.Color).Inflight == 0 || len(o.pages) == oldestServices {
			continue
		}
		page, err := e.Streams(ctx, v.Name, switcher.StreamQuery{Color: d.Color, Limit: oldestShown})
		if err != nil {
			return
		}
		o.pages[v.Name] = page
	}
}

func drainOf(v *switcher.ServiceView) *switcher.DrainView {
	if v.Cutover == nil {
		return nil
	}
	return v.Cutover.Draining
}

// lines render the streams of the services of one move.
func (o *oldest) lines(views []switcher.ServiceView, id string, width int, now time.Time) (lines []line) {
	for i := range views {
		v := &views[i]
		page := o.pages[v.Name]
		if drainOf(v) == nil || v.Cutover.ID != id || len(page.Streams) == 0 {
			continue
		}
		list := page.Streams[:min(len(page.Streams), oldestShown)]
		head := say("  streams, the oldest %d of %d", len(list), max(page.Total, len(list)))
		if len(v.Cutover.Services) > 1 {
			head = head.add(plain, " of %s", v.Name)
		}
		lines = append(lines, head)
		for _, row := range grid(fit(streamRows(list, width-4, now), width-4)) {
			lines = append(lines, say("    ").join(row))
		}
	}
	return lines
}
