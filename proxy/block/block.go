// Package block reads blocks of a Caddyfile by tables of options: what the
// modules of Greenroom have in common there.
package block

import (
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Options read a block of options, each given once unless it is repeatable.
type Options map[string]func(d *caddyfile.Dispenser) error

// Read reads the block that d stands before, if there is one.
func (o Options) Read(d *caddyfile.Dispenser, repeatable ...string) error {
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		read := o[name]
		if read == nil {
			return d.Errf("unknown option %q: want one of %s", name, o)
		}
		if seen[name] && !slices.Contains(repeatable, name) {
			return d.Errf("%s is given twice", name)
		}
		seen[name] = true
		if err := read(d); err != nil {
			return err
		}
	}
	return nil
}

// String lists the names.
func (o Options) String() string { return strings.Join(slices.Sorted(maps.Keys(o)), ", ") }

// None refuses a block where none is read: it would be ignored.
func None(d *caddyfile.Dispenser) error {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		return d.Errf("unexpected block with %q", d.Val())
	}
	return nil
}
