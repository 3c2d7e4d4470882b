package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// moveFlags are those of all commands that change something.
type moveFlags struct {
	reason       string
	ifGeneration uint64
	wait, noWait bool
	changed      func(flag string) bool
}

// addMoveFlags adds --reason and --if-generation.
func addMoveFlags(cmd *cobra.Command) *moveFlags {
	m := &moveFlags{changed: cmd.Flags().Changed}
	cmd.Flags().StringVar(&m.reason, "reason", "", "Why, in your own words, for history and gates; at most 500 bytes")
	cmd.Flags().Uint64Var(&m.ifGeneration, "if-generation", 0, "Refuse (exit 12) unless the first service named has this generation (default: any)")
	return m
}

// addWaitFlags adds --wait and --no-wait as well.
func addWaitFlags(cmd *cobra.Command) *moveFlags {
	m := addMoveFlags(cmd)
	cmd.Flags().BoolVar(&m.wait, "wait", true, "Wait until the move has ended, and exit by how it did")
	cmd.Flags().BoolVar(&m.noWait, "no-wait", false, "Return once the edge has taken the command")
	cmd.MarkFlagsMutuallyExclusive("wait", "no-wait")
	return m
}

// request is what every command carries.
func (m *moveFlags) request(services []string) switcher.Request {
	r := switcher.Request{Services: services, Reason: m.reason}
	if m.changed("if-generation") {
		r.IfGeneration = &m.ifGeneration
	}
	return r
}

func (m *moveFlags) waits() bool { return m.wait && !m.noWait }

const waitTimeoutIs = "Longest wait for the move to end, as 90s or 1h; 0 waits without limit. The edge's first answer is waited for 30s at most; --no-wait waits for nothing else, and 0 then means 30s"

// move is one command that moves traffic, or stops it from moving.
type move struct {
	verb string
	// post gives the command to the edge.
	post func(context.Context) (switcher.Receipt, error)
	// wants are the results that the command was meant to have.
	wants []switcher.Result
	// until, if not nil, ends the wait once it serves.
	until *switcher.Split
	// nothing says of a service that nothing was to be done.
	nothing func(v *switcher.ServiceView) line
	// taken says of a service that the command was carried out, or begun.
	taken func(v *switcher.ServiceView) line
}

// send carries out a move without waiting for its end.
func (s *session) send(ctx context.Context, m move) (report, error) {
	ctx, cancel := s.answer(ctx)
	defer cancel()
	receipt, err := m.post(ctx)
	if err != nil {
		return report{}, err
	}
	return m.accepted(receipt), nil
}

// accepted reports what the receipt says.
func (m move) accepted(r switcher.Receipt) report {
	o := outcome{Command: m.verb, ID: r.ID, Changed: r.Changed}
	var lines []line
	for i := range r.Services {
		v := &r.Services[i]
		o.Services = append(o.Services, outcomeOf(v, ending{}))
		if r.ID == "" {
			lines = append(lines, m.nothing(v))
		} else {
			lines = append(lines, m.taken(v))
		}
		lines = append(lines, warnings(v)...)
	}
	return report{lines, o}
}

// carry carries out a move and waits for its end. It listens before it sends,
// so that it misses nothing.
func (s *session) carry(ctx context.Context, m move) (report, error) {
	start := time.Now()
	if s.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	listening, hangUp := context.WithCancel(ctx)
	feed, over := newFeed(s.edge, nil), make(chan struct{})
	go func() { feed.run(listening); close(over) }()
	defer func() { hangUp(); <-over }()
	if _, err := feed.greet(ctx); err != nil {
		return report{}, err
	}
	receipt, err := s.post(ctx, m)
	if err != nil {
		return report{}, err
	}
	if receipt.ID == "" || len(receipt.Services) == 0 {
		return m.accepted(receipt), nil
	}
	w := &waiter{edge: s.edge, feed: feed, f: newFollow(receipt, m.until), show: s.display(receipt.ID, start)}
	err = w.await(ctx)
	var views []switcher.ServiceView
	if err == nil {
		views, err = w.fetch(ctx)
	}
	w.show.close()
	if err != nil {
		return m.unfinished(receipt), m.goesOn(receipt, err, s.timeout)
	}
	return m.concluded(receipt, w.f, views)
}

// post bounds the wait for the answer to a command.
func (s *session) post(ctx context.Context, m move) (switcher.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return m.post(ctx)
}

// display chooses how to show a move.
func (s *session) display(id string, start time.Time) display {
	if s.json {
		return quiet{}
	}
	t := teletype{w: s.out, paper: s.paper(s.out), start: start}
	file, ok := s.live()
	if !ok {
		return &t
	}
	return &stage{teletype: t, id: id, screen: screen{
		w: s.out, color: t.paper.color, size: func() (int, int) { return sizeOf(file) },
	}}
}

// unfinished reports a move whose end was not waited for: what it began with.
func (m move) unfinished(r switcher.Receipt) report {
	o := outcome{Command: m.verb, ID: r.ID, Changed: r.Changed}
	var lines []line
	for i := range r.Services {
		o.Services = append(o.Services, outcomeOf(&r.Services[i], ending{}))
		lines = append(lines, warnings(&r.Services[i])...)
	}
	return report{lines, o}
}

// goesOn explains why the wait ended before the move.
func (m move) goesOn(r switcher.Receipt, err error, timeout time.Duration) error {
	f := failed(err)
	name := r.Services[0].Name
	switch f.Exit {
	case exitInterrupted:
		f.Detail = "interrupted while waiting"
	case exitTimeout:
		f.Detail = "timed out"
		if timeout > 0 {
			f.Detail += " after " + short(timeout)
		}
	}
	f.Detail += fmt.Sprintf("; the move %s of %s goes on", r.ID, strings.Join(namesOf(r.Services), ", "))
	f.Hint = fmt.Sprintf("see it with: greenroom status %s; undo it with: %s", name, m.undo(name))
	return f
}

// undo is the command that undoes the move.
func (m move) undo(service string) string {
	switch m.verb {
	case "rollback", "abort":
		return "greenroom cutover " + service + " --to …"
	case "drain":
		return "greenroom abort " + service
	}
	return "greenroom rollback " + service
}

func namesOf(views []switcher.ServiceView) (names []string) {
	for i := range views {
		names = append(names, views[i].Name)
	}
	return names
}

// concluded reports how the move ended, or that it has come far enough.
func (m move) concluded(r switcher.Receipt, f *follow, views []switcher.ServiceView) (report, error) {
	o := outcome{Command: m.verb, ID: r.ID, Changed: r.Changed, Took: f.took, Drained: f.drained}
	var lines []line
	for i := range views {
		v := &views[i]
		o.Services = append(o.Services, outcomeOf(v, f.endings[v.Name]))
		if f.ended() {
			lines = append(lines, finalLine(v, f))
		} else {
			lines = append(lines, m.taken(v))
		}
		lines = append(lines, warnings(v)...)
	}
	if !f.ended() {
		return report{lines, o}, nil
	}
	o.Result, o.Detail = f.result()
	if slices.Contains(m.wants, o.Result) {
		return report{lines, o}, nil
	}
	return report{lines, o}, miscarried(r.ID, f)
}

// miscarried explains a move that ended in another way than it should have.
func miscarried(id string, f *follow) *failure {
	result, detail := f.result()
	name := f.services[0]
	what := fmt.Sprintf("the move %s of %s was ", id, strings.Join(f.services, ", "))
	if result == switcher.ResultRefused {
		return &failure{Code: "refused", Exit: exitRefused, Detail: what + "refused by a gate: " + detail,
			Hint: "mend what the gate names, then try again; no traffic has moved"}
	}
	words := map[switcher.Result]string{
		switcher.ResultRolledBack: "rolled back", switcher.ResultSuperseded: "superseded by another move",
	}
	word := words[result]
	if word == "" {
		word = string(result)
	}
	if detail != "" {
		word += ": " + detail
	}
	return &failure{Code: "undone", Exit: exitUndone, Detail: what + word,
		Hint: fmt.Sprintf("greenroom status %s tells where it stands, greenroom history %s what happened", name, name)}
}
