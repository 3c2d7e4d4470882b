package main

import (
	"fmt"
	"html"
	"strings"
)

// panel is one figure of the chart; less is better in each.
type panel struct{ workload, key, title, unit string }

var panels = []panel{
	{"small", "cpu_s_per_100k", "CPU for small requests", "seconds per 100,000 requests"},
	{"bulk", "cpu_s_per_gb", "CPU for bulk", "seconds per GB"},
	{"sse", "kib", "Memory of a silent SSE stream", "KiB"},
	{"flip", "command_p50_ms", "Flip under load, until acknowledged", "ms, median"},
}

// The chart's measures, in pixels.
const (
	chartWidth  = 840
	panelWidth  = 400
	nameWidth   = 146
	valueWidth  = 60
	barHeight   = 16
	rowHeight   = 24
	headHeight  = 48
	panelGap    = 28
	chartMargin = 10
)

// Colors that can be read on white and on black alike: what page they are on, and
// whether it follows the reader's system, is not known.
const chartStyle = `<style>
text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #717b87 }
.title { font-size: 15px; font-weight: 600 }
.ours { fill: #2da44e } .others { fill: #8c959f } .axis { stroke: #8c959f; stroke-width: 1 }
</style>
`

// chart is an SVG of the report: bars, two panels beside each other.
func (r *report) chart() string {
	var body strings.Builder
	top, rowBottom := chartMargin, 0
	n := 0
	for _, p := range panels {
		bars := r.bars(p)
		if len(bars) == 0 {
			continue
		}
		left := chartMargin
		if n%2 == 1 {
			left = chartWidth - chartMargin - panelWidth
		} else if n > 0 {
			top = rowBottom + panelGap
		}
		rowBottom = max(rowBottom, top+headHeight+len(bars)*rowHeight)
		drawPanel(&body, p, bars, left, top)
		n++
	}
	height := rowBottom + chartMargin
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n",
		chartWidth, height, chartWidth, height, html.EscapeString(r.caption())) + chartStyle + body.String() + "</svg>\n"
}

// bar is a proxy in a panel.
type bar struct {
	name  string
	value float64
}

func (r *report) bars(p panel) (bars []bar) {
	for _, x := range r.Results {
		if value, ok := x.Figures[p.key]; ok && x.Workload == p.workload {
			bars = append(bars, bar{x.Proxy, value})
		}
	}
	return bars
}

func drawPanel(w *strings.Builder, p panel, bars []bar, left, top int) {
	most := 0.0
	for _, b := range bars {
		most = max(most, b.value)
	}
	fmt.Fprintf(w, `<text class="title" x="%d" y="%d">%s</text>`+"\n", left, top+15, html.EscapeString(p.title))
	fmt.Fprintf(w, `<text x="%d" y="%d">%s; less is better</text>`+"\n", left, top+34, html.EscapeString(p.unit))
	const room = panelWidth - nameWidth - valueWidth
	axis, first := left+nameWidth, top+headHeight
	for i, b := range bars {
		width := 0.0
		if most > 0 {
			width = max(b.value, 0) / most * room
		}
		class := "others"
		if strings.HasPrefix(b.name, "greenroom") {
			class = "ours"
		}
		y := first + i*rowHeight
		fmt.Fprintf(w, `<text x="%d" y="%d" text-anchor="end">%s</text>`, axis-8, y+13, html.EscapeString(b.name))
		fmt.Fprintf(w, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`, class, axis, y, max(width, 1), barHeight)
		fmt.Fprintf(w, `<text x="%.1f" y="%d">%s</text>`+"\n", float64(axis)+max(width, 1)+6, y+13, short(b.value))
	}
	fmt.Fprintf(w, `<path class="axis" d="M%d.5 %dV%d"/>`+"\n", axis, first-4, first+len(bars)*rowHeight-4)
}

// short is a value with three digits.
func short(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// caption is the chart for those who do not see it.
func (r *report) caption() string {
	var parts []string
	for _, p := range panels {
		var values []string
		for _, b := range r.bars(p) {
			values = append(values, b.name+" "+short(b.value))
		}
		if values != nil {
			parts = append(parts, fmt.Sprintf("%s, %s: %s", p.title, p.unit, strings.Join(values, ", ")))
		}
	}
	return strings.Join(parts, ". ")
}
