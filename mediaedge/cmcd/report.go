package cmcd

// Report is what one request, or one event, says of a player. The zero value
// says nothing. Identifiers of content and of errors are not in it: they are
// names of the sender's choice, and of no use for aggregates.
type Report struct {
	// Version is that of CMCD: 1, the default, to 99.
	Version uint8

	// Session is the id of the playback session (sid): 1 to MaxSession
	// characters of printable ASCII, or empty. It follows a viewer around, so
	// it is not to be logged or stored; a Meter keeps only a keyed hash of it.
	Session string

	// Starved says that the buffer ran empty at some time since the player's
	// last report (bs).
	Starved bool

	// Startup says that the object is urgent, since the player is starting,
	// seeking or recovering (su).
	Startup bool

	// Error says that the player names an error (ec, version 2).
	Error bool

	// Buffer is how much is buffered, in milliseconds (bl). Of a list it is
	// the least: the track that runs empty first stops the player.
	Buffer Number

	// Bitrate is that of what is asked for, in kbit/s (br). Of a list it is
	// the greatest.
	Bitrate Number

	// Throughput is what the player has measured, in kbit/s (mtp). Of a list
	// it is the greatest.
	Throughput Number

	// Enough is the throughput that the player asks for at most, in kbit/s (rtp).
	Enough Number

	// Duration is that of the object, in milliseconds (d).
	Duration Number

	// Deadline is when the object is needed, in milliseconds from now (dl).
	Deadline Number

	// Object is the type of what is asked for (ot): m manifest, a audio, v
	// video, av both, i init segment, c caption, tt timed text, k key, o other.
	Object Token

	// Format is that of the stream (sf): d DASH, h HLS, s Smooth, e HESP, o other.
	Format Token

	// Stream is v for video on demand, l for live, ll for live at low latency (st).
	Stream Token

	// State is that of the player (sta, version 2): s starting, p playing, k
	// seeking, r rebuffering, a paused, w waiting, e ended, f fatal error, q
	// quit, d preloading.
	State Token

	// Event is what a report of an event is about (e, version 2), such as ps,
	// the state has changed, e, an error, t, time has passed, or rr, a response has come.
	Event Token
}

// Number is a number that a report may leave out.
type Number struct {
	N     uint32
	Known bool
}

// Token is one of the values that CTA-5004 lists for a key, or empty. Others
// are left out, so that there are never more than the lists hold.
type Token string

// Bounds of single values. What is beyond them is left out: no measure is
// better than one that nobody took.
const (
	MaxSession = 64         // characters of a session's id, CTA-5004
	maxMillis  = 86_400_000 // a day: of buffers, durations, deadlines
	maxRate    = 10_000_000 // kbit/s: 10 Gbit/s
	maxVersion = 99
)

var (
	objects = []Token{"v", "a", "av", "m", "i", "c", "tt", "k", "o"}
	formats = []Token{"h", "d", "s", "e", "o"}
	streams = []Token{"v", "l", "ll"}
	states  = []Token{"s", "p", "k", "r", "a", "w", "e", "f", "q", "d"}
	events  = []Token{
		"abe", "abs", "ae", "as", "b", "bc", "c", "ce", "e", "h", "m", "pc", "pe", "pr", "ps", "rr", "sk", "t", "um",
	}
)

// Starving reports whether the player's buffer ran empty since its last
// report, or is empty now.
func (r Report) Starving() bool { return r.Starved || r.State == "r" }

// Failing reports whether the report is about an error.
func (r Report) Failing() bool { return r.Error || r.State == "f" || r.Event == "e" }

// set takes one member. The last of several with one key counts (RFC 8941,
// §3.2), even if it cannot be read.
func (r *Report) set(key, value string) {
	switch key {
	case "v":
		r.Version = 1
		if n := one(value, maxVersion); n.N > 0 {
			r.Version = uint8(n.N)
		}
	case "sid":
		r.Session = text(item(value), MaxSession)
	case "bs":
		r.Starved = boolean(value)
	case "su":
		r.Startup = boolean(value)
	case "ec":
		r.Error = some(value)
	case "bl":
		r.Buffer = least(value, maxMillis)
	case "br":
		r.Bitrate = greatest(value, maxRate)
	case "mtp":
		r.Throughput = greatest(value, maxRate)
	case "rtp":
		r.Enough = one(value, maxRate)
	case "d":
		r.Duration = one(value, maxMillis)
	case "dl":
		r.Deadline = one(value, maxMillis)
	case "ot":
		r.Object = token(value, objects)
	case "sf":
		r.Format = token(value, formats)
	case "st":
		r.Stream = token(value, streams)
	case "sta":
		r.State = token(value, states)
	case "e":
		r.Event = token(value, events)
	}
}
