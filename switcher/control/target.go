package control

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// target is what a path names.
type target struct {
	action string // services, fleet, process, media, view, history, events, or a command
	name   string // of the service, where there is one
}

// parsePath takes the path as sent, so that a %2F stays inside its segment.
func parsePath(escaped string) (to target, found bool) {
	segments := strings.Split(escaped, "/")
	for i, s := range segments {
		plain, err := url.PathUnescape(s)
		if err != nil {
			return target{}, false
		}
		segments[i] = plain
	}
	if len(segments) < 3 || segments[0] != "" || segments[1] != "v1" {
		return target{}, false
	}
	switch rest := segments[2:]; {
	case len(rest) == 1 && (slices.Contains([]string{"services", "events", "fleet", "process", "media"}, rest[0]) || ofNoService(rest[0])):
		return target{action: rest[0]}, true
	case rest[0] != "services" || len(rest) > 3 || len(rest) < 2 || rest[1] == "":
		return target{}, false
	case len(rest) == 2:
		return target{"view", rest[1]}, true
	default:
		to = target{rest[2], rest[1]}
		return to, to.isCommand() && !ofNoService(to.action) || to.action == "history" || to.action == "streams"
	}
}

// The commands that are of no service.
const (
	upgrade = "upgrade"
	purge   = "purge"
)

func ofNoService(command string) bool { return command == upgrade || command == purge }

func (t target) isCommand() bool {
	_, ok := commands[t.action]
	return ok
}

func (t target) method() string {
	if t.isCommand() {
		return http.MethodPost
	}
	return http.MethodGet
}

func (t target) role() Role { return max(RoleView, commands[t.action].role) }

func (t target) names() []string {
	if t.name == "" {
		return nil
	}
	return []string{t.name}
}

// checkNames wants what can be a service's name; whether it is one, the
// switcher knows.
func checkNames(names []string) *Problem {
	if len(names) > maxServices {
		return newProblem(CodeInvalid, "%d services: at most %d", len(names), maxServices)
	}
	for _, name := range names {
		if !canBeName(name) {
			return newProblem(CodeInvalid, "service %q: want a name of 1 to %d bytes without control characters",
				cut(name, maxName), maxName)
		}
	}
	return nil
}

func canBeName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= maxName &&
		!strings.ContainsFunc(name, unicode.IsControl) && utf8.ValidString(name)
}
