package switcher

import "context"

// Static is the Source of pools that stand in the config.
type Static Pools

// Run implements Source: it reports once.
func (p Static) Run(ctx context.Context, sink Sink) error {
	pools := Pools(p)
	if err := ValidatePools(pools); err != nil {
		sink.Fail(err)
	} else {
		sink.Update(pools)
	}
	<-ctx.Done()
	return ctx.Err()
}

func (p Static) String() string { return "config" }

var _ Source = Static{}
