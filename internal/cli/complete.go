package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom-proxy/greenroom/switcher"
	"github.com/greenroom-proxy/greenroom/switcher/control"
)

// completePatience is how long a Tab may take; an edge that is slower, or not
// there, completes nothing, silently.
const completePatience = 500 * time.Millisecond

// completeServices completes the services that are not on the line yet.
func completeServices(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 && slices.Contains([]string{"history", "streams", "evict"}, cmd.Name()) {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	explicit, _ := cmd.Flags().GetString("socket") // all commands have it
	ctx, cancel := context.WithTimeout(contextOf(cmd), completePatience)
	defer cancel()
	views, err := control.NewClient(control.FindSocket(explicit)).Services(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for i := range views {
		name := views[i].Name
		if !slices.Contains(args, name) && !strings.ContainsFunc(name, isUnsafe) {
			names = append(names, name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// contextOf is for completions that cobra runs without a context.
func contextOf(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

// completeOrigins completes the origins of media.
func completeOrigins(cmd *cobra.Command, _ []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	explicit, _ := cmd.Flags().GetString("socket")
	ctx, cancel := context.WithTimeout(contextOf(cmd), completePatience)
	defer cancel()
	view, err := control.NewClient(control.FindSocket(explicit)).Media(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for _, o := range view.Origins {
		if !strings.ContainsFunc(o.Name, isUnsafe) {
			names = append(names, o.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func completeColors(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"blue", "green"}, cobra.ShellCompDirectiveNoFileComp
}

// completeKinds completes the last kind of a list.
func completeKinds(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	return completeList(typed, ""), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeDeadlines completes the last kind of a list of deadlines.
func completeDeadlines(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	return completeList(typed, "="), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeList offers the kinds that are not on a list yet, each with an end.
func completeList(typed, end string) (list []string) {
	before := typed[:strings.LastIndexByte(typed, ',')+1]
	for _, kind := range switcher.StreamKinds() {
		if word := kind.String() + end; !strings.Contains(","+before, ","+kind.String()) {
			list = append(list, before+word)
		}
	}
	return list
}

// completeSplit completes a service, then a color.
func completeSplit(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return completeServices(cmd, args, typed)
	case 1:
		return []string{"blue=", "green="}, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}
