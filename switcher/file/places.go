package file

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxLinks is how many symlinks are followed, as in Linux.
const maxLinks = 40

// places lists the directories in which a change can give path another content:
// its own, that of each symlink on the way (a Kubernetes volume swaps one of
// them), and that of what it leads to. Where something is missing, the list
// ends with the directory that lacks it. The path must be absolute.
func places(path string) []string {
	var dirs []string
	note := func(dir string) {
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	dir, rest := "/", split(path)
	for links := 0; len(rest) > 0; {
		at := filepath.Join(dir, rest[0])
		rest = rest[1:]
		info, err := os.Lstat(at)
		if err != nil {
			note(dir)
			return dirs
		}
		if info.Mode()&os.ModeSymlink == 0 {
			if len(rest) == 0 {
				note(dir)
			}
			dir = at
			continue
		}
		note(dir)
		target, err := os.Readlink(at)
		if links++; err != nil || links > maxLinks {
			return dirs
		}
		if filepath.IsAbs(target) {
			dir = "/"
		}
		rest = append(split(target), rest...)
	}
	return dirs
}

func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == filepath.Separator })
}
