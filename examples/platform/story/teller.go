package story

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/greenroom-proxy/greenroom/examples/platform/crowd"
	"github.com/greenroom-proxy/greenroom/examples/platform/stage"
)

// teller performs the story, and says what it does. The first error ends it.
type teller struct {
	ctx   context.Context
	out   io.Writer
	stage *stage.Stage
	crowd *crowd.Crowd
	err   error

	beforeV3 crowd.Answers // of blue
}

// chapter begins one, with a heading.
func (t *teller) chapter(title string) {
	t.print("\n\033[1m── %s ──\033[0m\n", title)
}

// say tells something.
func (t *teller) say(text string, args ...any) { t.print(text+"\n", args...) }

func (t *teller) print(text string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.out, text, args...)
	}
}

// do performs a step, unless one before has failed.
func (t *teller) do(step func(context.Context) error) {
	if t.err == nil {
		t.err = step(t.ctx)
	}
}

// greenroom runs a command in front of the audience. Another exit code than the
// one that the story goes on with ends it.
func (t *teller) greenroom(want int, args ...string) (said string) {
	t.command("greenroom", args...)
	t.do(func(ctx context.Context) error {
		var code int
		var err error
		said, code, err = t.stage.Greenroom(ctx, args...)
		if err != nil {
			return err
		}
		t.print("%s", indent(said))
		if code != want {
			return fmt.Errorf("greenroom %s: exit code %d instead of %d", strings.Join(args, " "), code, want)
		}
		return nil
	})
	return said
}

// migrate brings the schema to a version. If it should be refused, for what is
// refused, it must be.
func (t *teller) migrate(to int, refused string) {
	t.command("./platform", "migrate", "-to", fmt.Sprint(to), "-window", "greenroom rollback-window app")
	t.do(func(ctx context.Context) error {
		err := t.stage.Migrate(ctx, to)
		switch {
		case refused == "":
			return err
		case err == nil:
			return fmt.Errorf("the migration to %d was not refused", to)
		case !strings.Contains(err.Error(), refused):
			return err
		}
		t.print("%s", indent(err.Error()))
		return nil
	})
}

// deploy starts a version in a color.
func (t *teller) deploy(color, version string) {
	t.command("./platform", "app", "-version", version, "-color", color)
	t.do(func(ctx context.Context) error { return t.stage.Deploy(ctx, color, version) })
}

func (t *teller) command(program string, args ...string) {
	line := "$ " + program
	for _, arg := range args {
		if arg == "" || strings.Contains(arg, " ") {
			arg = `"` + arg + `"`
		}
		line += " " + arg
	}
	t.print("\n\033[36m%s\033[0m\n", line)
}

func indent(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString("  " + strings.TrimRight(line, "\n") + "\n")
	}
	return out.String()
}
