package switcher

import "fmt"

// Color names one of the two sides of a service. It is an identity, never a
// role: which color is active changes with every cutover. The zero value is
// no color at all, so that a forgotten field never means blue.
type Color uint8

// The two colors.
const (
	Blue  Color = 1
	Green Color = 2
)

// Colors lists both, for loops.
var Colors = [2]Color{Blue, Green}

// Other returns the opposite color; of no color, no color.
func (c Color) Other() Color {
	switch c {
	case Blue:
		return Green
	case Green:
		return Blue
	}
	return 0
}

// Valid reports whether c is blue or green.
func (c Color) Valid() bool { return c == Blue || c == Green }

func (c Color) String() string {
	switch c {
	case Blue:
		return "blue"
	case Green:
		return "green"
	}
	return "none"
}

// ParseColor reads "blue" or "green", in exactly this spelling.
func ParseColor(s string) (Color, error) {
	switch s {
	case "blue":
		return Blue, nil
	case "green":
		return Green, nil
	}
	return 0, fmt.Errorf("color %q: want \"blue\" or \"green\"", s)
}

// MarshalText writes the name of the color, and nothing for no color.
func (c Color) MarshalText() ([]byte, error) {
	if !c.Valid() {
		return nil, nil
	}
	return []byte(c.String()), nil
}

// UnmarshalText reads what MarshalText wrote.
func (c *Color) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*c = 0
		return nil
	}
	parsed, err := ParseColor(string(text))
	if err != nil {
		return err
	}
	*c = parsed
	return nil
}

// PerColor holds one T for each color.
type PerColor[T any] struct {
	Blue  T `json:"blue"`
	Green T `json:"green"`
}

// Of returns the value of color c, which must be valid.
func (p PerColor[T]) Of(c Color) T { return *p.At(c) }

// At returns the place of color c, which must be valid.
func (p *PerColor[T]) At(c Color) *T {
	switch c {
	case Blue:
		return &p.Blue
	case Green:
		return &p.Green
	}
	panic("switcher: no such color: " + c.String())
}
