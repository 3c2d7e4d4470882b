package schema

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/greenroom-proxy/greenroom/internal/ask"
	"github.com/greenroom-proxy/greenroom/switcher"
)

// Defaults of a Gate.
const (
	DefaultTimeout = 5 * time.Second
	DefaultMin     = "schema_min"
	DefaultMax     = "schema_max"

	atOnce  = 8        // upstreams that are asked at a time
	maxBody = 64 << 10 // of what one of them answers
)

// Reader reads the version that the schema is at.
type Reader interface {
	Version(ctx context.Context) (int64, error)
	// String says whom it asks, for reasons; no secret is in it.
	String() string
}

// Gate wants the schema's version within what both colors declare.
//
// What cannot be read (a database that is away, an upstream that does not answer)
// is waited for; a version that does not fit, and an upstream that declares
// nothing, refuse. Of the color that loses traffic what its healthy upstreams
// declare counts, and where it has none what its metadata say: if nobody can say,
// it is no obstacle, so that a cutover away from a dead color works. A rollback
// asks no gate: greenroom plan to the color before says what this one thinks of it.
type Gate struct {
	// Called is the gate's name. Default: schema.
	Called string
	// Reader reads the version. Required.
	Reader Reader
	// Static is what the config declares of a color; nil: nothing.
	Static switcher.PerColor[*Range]
	// Min and Max name the entries of an upstream's metadata, and the members of
	// what Path answers. Default: DefaultMin, DefaultMax.
	Min, Max string
	// Path is asked of each healthy upstream, which answers 200 and a JSON object
	// with Min and Max. Default: none is asked.
	Path string
	// Upstreams asks them; required with Path.
	Upstreams *ask.Upstreams
	// Timeout of the version, and of all upstreams together. Default:
	// DefaultTimeout.
	Timeout time.Duration
}

// Name implements switcher.Gate.
func (g *Gate) Name() string {
	if g.Called == "" {
		return "schema"
	}
	return g.Called
}

// undeclared is an upstream that says nothing, or nothing that can be read: no
// waiting makes that good.
type undeclared struct{ error }

// Check implements switcher.Gate.
func (g *Gate) Check(ctx context.Context, p switcher.GateInput) switcher.Verdict {
	timeout := g.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if len(p.Healthy(p.To)) == 0 && g.Static.Of(p.To) == nil {
		return switcher.Verdict{Reason: fmt.Sprintf("%s has no healthy upstream to say which schema it works with", p.To)}
	}
	version, err := g.Reader.Version(ctx)
	if err != nil {
		return switcher.Verdict{Reason: fmt.Sprintf("the schema's version cannot be read (%s): %s", g.Reader, err)}
	}
	var declared switcher.PerColor[[]declaration]
	for _, c := range []switcher.Color{p.To, p.From} {
		list, err := g.declarations(ctx, p, c)
		if wrong, final := errors.AsType[undeclared](err); final {
			return switcher.Verdict{Decision: switcher.Refuse, Reason: wrong.Error()}
		}
		if err != nil {
			return switcher.Verdict{Reason: err.Error()}
		}
		*declared.At(c) = list
	}
	return judge(p, version, declared.Of(p.From), declared.Of(p.To))
}

// declarations are all that say something of a color.
func (g *Gate) declarations(ctx context.Context, p switcher.GateInput, c switcher.Color) ([]declaration, error) {
	upstreams, alive := p.Healthy(c), true
	if len(upstreams) == 0 {
		upstreams, alive = p.Upstreams.Of(c), false
	}
	found := make([][]declaration, len(upstreams))
	failed := make([]error, len(upstreams))
	places := make(chan struct{}, atOnce)
	var asking sync.WaitGroup
	for i, u := range upstreams {
		places <- struct{}{}
		asking.Go(func() {
			defer func() { <-places }()
			found[i], failed[i] = g.of(ctx, c, u.Upstream, alive)
		})
	}
	asking.Wait()
	var list []declaration
	if r := g.Static.Of(c); r != nil {
		list = append(list, declaration{"the config", *r})
	}
	for i := range upstreams {
		if failed[i] != nil {
			return nil, failed[i]
		}
		list = append(list, found[i]...)
	}
	return list, nil
}

// of is what one upstream declares: by its metadata, and if it is alive by Path.
func (g *Gate) of(ctx context.Context, c switcher.Color, u switcher.Upstream, alive bool) (list []declaration, err error) {
	r, ok, err := g.inMeta(u.Meta)
	if err != nil {
		return nil, undeclared{fmt.Errorf("%s (%s): metadata: %w", u.Address, c, err)}
	}
	if ok {
		list = append(list, declaration{u.Address, r})
	}
	switch {
	case !alive:
		return list, nil
	case g.Path != "":
		r, err := g.atPath(ctx, u.Address)
		if err != nil {
			return nil, fmt.Errorf("%s (%s): GET %s: %w", u.Address, c, g.Path, err)
		}
		return append(list, declaration{u.Address, r}), nil
	case !ok && g.Static.Of(c) == nil:
		return nil, undeclared{fmt.Errorf("%s (%s) does not say which schema it works with: give it %s and %s in its metadata, or the gate a path or a range for %s",
			u.Address, c, g.min(), g.max(), c)}
	}
	return list, nil
}

func (g *Gate) inMeta(meta map[string]string) (r Range, ok bool, err error) {
	low, hasLow := meta[g.min()]
	high, hasHigh := meta[g.max()]
	switch {
	case !hasLow && !hasHigh:
		return r, false, nil
	case !hasLow:
		return r, false, fmt.Errorf("%s without %s", g.max(), g.min())
	case !hasHigh:
		return r, false, fmt.Errorf("%s without %s", g.min(), g.max())
	}
	r, err = ParseRange(low + ".." + high)
	return r, err == nil, err
}

func (g *Gate) atPath(ctx context.Context, address string) (Range, error) {
	a, err := g.Upstreams.Get(ctx, address, g.Path, nil, maxBody)
	switch {
	case err != nil:
		return Range{}, errors.New(ask.Line(err.Error()))
	case a.Status != 200:
		return Range{}, fmt.Errorf("answered %d", a.Status)
	case a.Cut:
		return Range{}, fmt.Errorf("answered more than %d bytes", maxBody)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(a.Body, &members); err != nil {
		return Range{}, fmt.Errorf("want a JSON object with %q and %q: %s", g.min(), g.max(), ask.Line(err.Error()))
	}
	low, err := number(members, g.min())
	if err != nil {
		return Range{}, err
	}
	high, err := number(members, g.max())
	if err != nil {
		return Range{}, err
	}
	return ParseRange(low + ".." + high)
}

// number is a member that is a number, or one in a string.
func number(members map[string]json.RawMessage, name string) (string, error) {
	raw, ok := members[name]
	if !ok {
		return "", fmt.Errorf("there is no member %q", name)
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	if _, err := parseVersion(text); err != nil {
		return "", fmt.Errorf("member %q: %w", name, err)
	}
	return text, nil
}

func (g *Gate) min() string { return or(g.Min, DefaultMin) }
func (g *Gate) max() string { return or(g.Max, DefaultMax) }

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

var _ switcher.Gate = (*Gate)(nil)
