package cli

import (
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// Register adds Greenroom's commands to Caddy's and names the binary. It must
// be called once, before caddycmd.Main.
func Register() {
	caddy.CustomBinaryName = "greenroom"
	caddy.CustomLongDescription = rootLong
	for _, c := range commands() {
		caddycmd.RegisterCommand(c.caddy())
	}
	var sibling *cobra.Command
	audit := auditCommand()
	build := audit.CobraFunc
	audit.CobraFunc = func(cmd *cobra.Command) {
		sibling = cmd
		build(cmd)
	}
	caddycmd.RegisterCommand(audit)
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "exit-codes",
		Short: "Lists the exit codes of Greenroom's commands",
		Long:  exitTable + "\n\nCodes 1 to 3 of run, start and the other commands of Caddy are Caddy's own.",
		CobraFunc: func(cmd *cobra.Command) { // without RunE: a topic of help
			cmd.SetHelpTemplate(helpTemplate)
			// This one has no parent yet, but one that was registered before has.
			sibling.Root().Example = rootExample
			replace(sibling.Root(), upgradeCommand())
		},
	})
}

// replace puts c in the place of Caddy's command of that name: Caddy's upgrade
// would put a Caddy from its makers' site where this program is.
func replace(root *cobra.Command, c command) {
	for _, other := range root.Commands() {
		if other.Name() == c.name {
			root.RemoveCommand(other)
		}
	}
	cmd := &cobra.Command{Use: c.name + " " + c.usage, Short: c.short}
	c.build(cmd)
	root.AddCommand(cmd)
}

const rootExample = `  $ greenroom run --config Caddyfile
  $ greenroom reload --config Caddyfile
  $ greenroom status
  $ greenroom cutover app --to green
  $ greenroom rollback app`

const rootLong = `Greenroom is a blue/green edge proxy: a Caddy that knows two sides of each
service, blue and green, and moves the traffic from one to the other without
dropping a request.

Run it as you run Caddy:

	$ greenroom run --config Caddyfile

Then look, and move:

	$ greenroom status
	$ greenroom streams app
	$ greenroom plan app --to green
	$ greenroom cutover app --to green --ramp 10:5m,50:10m
	$ greenroom rollback app

The commands status, watch, streams, plan, cutover, split, hold, resume, abort,
rollback, rollback-window, drain, evict, lock, unlock, upgrade, history, media
and purge speak to a running Greenroom over its control socket; each has a
--help with examples. 'greenroom audit verify' checks files of the audit log.
Their exit codes are listed by 'greenroom help exit-codes'. All others are
Caddy's:
https://caddyserver.com/docs/command-line
`

// helpTemplate is cobra's own, without the pointer to Caddy's documentation,
// where these commands are not described.
const helpTemplate = `{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}{{if or .Runnable .HasSubCommands}}{{.UsageString}}{{end}}`

// command is one subcommand.
type command struct {
	name, usage, short, long, example string
	// args checks the number of arguments.
	args cobra.PositionalArgs
	// timeout is the default of --timeout, and timeoutIs what it bounds.
	timeout   time.Duration
	timeoutIs string
	// setup adds the command's own flags and returns what it does.
	setup func(cmd *cobra.Command) action
}

// commonFlags are those that all commands take.
type commonFlags struct {
	json    bool
	timeout time.Duration
	socket  string
}

func (c command) caddy() caddycmd.Command {
	return caddycmd.Command{
		Name: c.name, Usage: c.usage, Short: c.short,
		CobraFunc: func(cmd *cobra.Command) { c.build(cmd) },
	}
}

func (c command) build(cmd *cobra.Command) {
	cmd.Long = strings.TrimSpace(c.long) + "\n\n" + exitTable
	cmd.Example = c.example
	cmd.DisableFlagsInUseLine = true
	cmd.SetHelpTemplate(helpTemplate)
	cmd.ValidArgsFunction = completeServices
	common := &commonFlags{}
	flags := cmd.Flags()
	flags.BoolVar(&common.json, "json", false, "Print JSON on stdout, errors included")
	flags.DurationVar(&common.timeout, "timeout", c.timeout, c.timeoutIs)
	flags.StringVar(&common.socket, "socket", "", "Path of the edge's control socket (default: $GREENROOM_SOCKET, else where Greenroom puts it)")
	do := c.setup(cmd)
	if flags.Lookup("reason") == nil {
		flags.String("reason", "", "Taken by every command, so that scripts can always give it; what only looks keeps it nowhere")
	}
	tellUsage(cmd, c.args)
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return perform(cmd, args, common, do) }
}

const answerTimeoutIs = "Longest wait for the edge's answer, as 10s or 1m"
