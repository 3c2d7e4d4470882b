package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// optionFlags are those that become the options of a move.
type optionFlags struct {
	gateTimeout, drainTimeout time.Duration
	deadlines                 []string
	pins                      string
	pinDeadline               time.Duration
	onFailure                 string
	window                    time.Duration
}

// addOptions adds the options of a move: with those of gates, if it asks any.
func addOptions(cmd *cobra.Command, gates bool) *optionFlags {
	o := &optionFlags{}
	flags := cmd.Flags()
	if gates {
		flags.DurationVar(&o.gateTimeout, "gate-timeout", 0, "How long closed gates are waited for, up to 24h (default: the service's own, else 30s)")
		flags.StringVar(&o.onFailure, "on-failure", "", "What happens in a ramp when a gate closes or the target fails: rollback, freeze or forward_only (default: the service's own, else rollback)")
		flags.DurationVar(&o.window, "rollback-window", 0, "How long after the flip a rollback is reckoned with, up to 720h: see greenroom rollback-window (default: the service's own, else 30m)")
		_ = cmd.RegisterFlagCompletionFunc("on-failure", cobra.FixedCompletions([]string{"rollback", "freeze", "forward_only"}, cobra.ShellCompDirectiveNoFileComp))
	}
	flags.DurationVar(&o.drainTimeout, "drain-timeout", 0, "How long the old color may finish its work before what is left is cut, up to 168h (default: the service's own, else 10m)")
	flags.StringSliceVar(&o.deadlines, "drain-deadline", nil, `The same for single kinds of streams, like "websocket=30m,upload=2h"; can be repeated (default: the service's own, else --drain-timeout)`)
	flags.StringVar(&o.pins, "pins", "", "What becomes of sessions pinned to the old color: hold, they stay while they live, or drop, they move at once (default: hold)")
	flags.DurationVar(&o.pinDeadline, "pin-deadline", 0, "How long they may stay after the flip, up to 168h (default: the service's own, else 15m)")
	_ = cmd.RegisterFlagCompletionFunc("drain-deadline", completeDeadlines)
	_ = cmd.RegisterFlagCompletionFunc("pins", cobra.FixedCompletions([]string{"hold", "drop"}, cobra.ShellCompDirectiveNoFileComp))
	return o
}

func (o *optionFlags) options() (switcher.Options, error) {
	deadlines, err := parseDeadlines(o.deadlines)
	if err != nil {
		return switcher.Options{}, err
	}
	options := switcher.Options{
		GateTimeout: switcher.Duration(o.gateTimeout), DrainTimeout: switcher.Duration(o.drainTimeout), Deadlines: deadlines,
		Pins: switcher.PinPolicy(o.pins), PinDeadline: switcher.Duration(o.pinDeadline),
		OnFailure: switcher.FailurePolicy(o.onFailure), RollbackWindow: switcher.Duration(o.window),
	}
	if err := options.Validate(); err != nil {
		return switcher.Options{}, invalid("%w", err)
	}
	return options, nil
}

// parseDeadlines reads a list like "websocket=30m".
func parseDeadlines(list []string) (read switcher.Deadlines, err error) {
	for _, text := range list {
		name, length, found := strings.Cut(text, "=")
		if !found {
			return read, invalid("--drain-deadline %.60q: want a kind and a time, as websocket=30m", text)
		}
		kind, err := switcher.ParseStreamKind(name)
		if err != nil {
			return read, invalid("--drain-deadline: %w", err)
		}
		d, err := time.ParseDuration(length)
		switch {
		case err != nil:
			return read, invalid("--drain-deadline of %s %.20q: want a time, as 30m or 2h", kind, length)
		case d <= 0:
			return read, invalid("--drain-deadline of %s %s: want more than 0; leave it out for --drain-timeout", kind, length)
		case read[kind] != 0:
			return read, invalid("--drain-deadline of %s is given twice", kind)
		}
		read[kind] = switcher.Duration(d)
	}
	if err := read.Validate(); err != nil {
		return read, invalid("--drain-deadline: %w", err)
	}
	return read, nil
}

// sayDeadlines lists, in brackets, what differs from the drain timeout.
func sayDeadlines(d switcher.Deadlines) string {
	var list []string
	for _, kind := range switcher.StreamKinds() {
		if d[kind] != 0 {
			list = append(list, kind.String()+" "+short(time.Duration(d[kind])))
		}
	}
	return inBrackets(list)
}

// streamFlags choose streams.
type streamFlags struct {
	color string
	kinds []string
}

func addStreamFlags(cmd *cobra.Command, color string) *streamFlags {
	f := &streamFlags{}
	cmd.Flags().StringVar(&f.color, "color", "", color)
	cmd.Flags().StringSliceVar(&f.kinds, "kind", nil, "Only of these kinds: request, websocket, sse, download, upload, live, grpc; a list, or repeated (default: all)")
	_ = cmd.RegisterFlagCompletionFunc("color", completeColors)
	_ = cmd.RegisterFlagCompletionFunc("kind", completeKinds)
	return f
}

// parse returns the zero color where none is named.
func (f *streamFlags) parse() (c switcher.Color, kinds []switcher.StreamKind, err error) {
	if f.color != "" {
		if c, err = switcher.ParseColor(f.color); err != nil {
			return c, nil, invalid("--color: %w", err)
		}
	}
	for _, name := range f.kinds {
		kind, err := switcher.ParseStreamKind(name)
		if err != nil {
			return c, nil, invalid("--kind: %w", err)
		}
		kinds = append(kinds, kind)
	}
	return c, kinds, nil
}
