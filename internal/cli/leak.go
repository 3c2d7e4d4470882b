package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// leakText is the media that went through the app, in one sentence.
func leakText(l *switcher.MediaLeak, now time.Time) string {
	var parts []string
	if l.Responses > 0 {
		parts = append(parts, bytesize(l.Bytes)+" in "+number(l.Responses, "response"))
	}
	if l.Uploads > 0 {
		parts = append(parts, bytesize(l.UploadBytes)+" in "+number(l.Uploads, "upload"))
	}
	text := strings.Join(parts, " and ") + " went through the app"
	if len(l.Kinds) > 0 {
		text += " (largest kind: " + l.Kinds[0].Kind + ")"
	}
	return text + ", the last " + ago(l.Last, now) + "; see media_edge"
}

// leakLines are the same, the kinds, and an example.
func leakLines(l *switcher.MediaLeak, now time.Time) []line {
	lines := []line{label("media").add(warn, "%s", leakText(l, now))}
	if len(l.Kinds) > 1 {
		var kinds []string
		for _, k := range l.Kinds {
			kinds = append(kinds, fmt.Sprintf("%s %s in %s", k.Kind, bytesize(k.Bytes), grouped(k.Responses)))
		}
		lines = append(lines, label("").add(plain, "%s", strings.Join(kinds, ", ")))
	}
	if l.Example != "" {
		lines = append(lines, label("").add(plain, "as %s", l.Example))
	}
	return lines
}
