package database

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

//go:embed migrations/*.sql
var files embed.FS

// Kind is what a migration does to those who use the schema.
type Kind string

// The kinds. Only a Contract takes something away that a version before needs.
const (
	Begin    Kind = "begin"
	Expand   Kind = "expand"
	Backfill Kind = "backfill"
	Contract Kind = "contract"
)

// Migration is one file.
type Migration struct {
	// Version is the schema's when all steps are done: the number in the name.
	Version int64
	// Name is the file's, without directory.
	Name string
	Kind Kind
	// Apps are the versions of the app that work with the result.
	Apps  []string
	Steps []Step
}

// Step is a transaction, or many alike.
type Step struct {
	SQL string
	// Batch is how many rows one transaction goes through at most, or 0 if there is
	// one transaction. The SQL of a batch is one statement with two parameters, the
	// key after which it begins and the size, and returns the key at which it ends,
	// NULL at the end.
	Batch int
	// Slowly is for what may take long, since it stops nobody who reads or writes.
	Slowly bool
}

// Migrations returns those of this binary, by version.
func Migrations() ([]Migration, error) {
	sub, err := fs.Sub(files, "migrations")
	if err != nil {
		return nil, err
	}
	return read(sub)
}

func read(dir fs.FS) ([]Migration, error) {
	names, err := fs.Glob(dir, "*.sql")
	if err != nil {
		return nil, err
	}
	var all []Migration
	for _, name := range names {
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, err
		}
		m, err := parse(path.Base(name), string(text))
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", name, err)
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b Migration) int { return cmp.Compare(a.Version, b.Version) })
	for i, m := range all {
		if m.Version != int64(i+1) {
			return nil, fmt.Errorf("migration %s: its number should be %d: they go from 1, without a gap", m.Name, i+1)
		}
	}
	return all, nil
}

var (
	fileName = regexp.MustCompile(`^(\d{4})_[a-z0-9_]+\.sql$`)
	stepLine = regexp.MustCompile(`^(?:once|slowly|batches of ([1-9]\d{0,4}))$`)
)

// parse reads a file: comments, of which "-- kind: …", "-- app: …" and
// "-- step: …" count, and below each of the last a statement or several.
func parse(name, text string) (Migration, error) {
	found := fileName.FindStringSubmatch(name)
	if found == nil {
		return Migration{}, fmt.Errorf("the name is not like 0001_what_it_does.sql")
	}
	version, err := strconv.ParseInt(found[1], 10, 64)
	if err != nil {
		return Migration{}, err
	}
	m := Migration{Version: version, Name: name}
	for i, line := range strings.Split(text, "\n") {
		key, value, ok := strings.Cut(strings.TrimPrefix(line, "-- "), ": ")
		switch {
		case strings.HasPrefix(line, "-- ") && ok && key == "kind":
			m.Kind = Kind(value)
		case strings.HasPrefix(line, "-- ") && ok && key == "app":
			m.Apps = strings.Fields(value)
		case strings.HasPrefix(line, "-- ") && ok && key == "step":
			step := stepLine.FindStringSubmatch(value)
			if step == nil {
				return Migration{}, fmt.Errorf("line %d: a step is once, slowly or batches of <n>, not %q", i+1, value)
			}
			size, _ := strconv.Atoi(step[1]) // empty: once
			m.Steps = append(m.Steps, Step{Batch: size, Slowly: value == "slowly"})
		case strings.HasPrefix(line, "--") || strings.TrimSpace(line) == "":
		case len(m.Steps) == 0:
			return Migration{}, fmt.Errorf("line %d: a statement before the first step", i+1)
		default:
			m.Steps[len(m.Steps)-1].SQL += line + "\n"
		}
	}
	return m, m.check()
}

func (m Migration) check() error {
	if !slices.Contains([]Kind{Begin, Expand, Backfill, Contract}, m.Kind) {
		return fmt.Errorf("kind %q is none of begin, expand, backfill and contract", m.Kind)
	}
	if len(m.Apps) == 0 {
		return fmt.Errorf("it does not say with which versions of the app its result works: -- app: v1 v2")
	}
	if len(m.Steps) == 0 {
		return fmt.Errorf("it has no step")
	}
	for i, s := range m.Steps {
		if s.SQL == "" {
			return fmt.Errorf("step %d has no statement", i+1)
		}
	}
	return nil
}
