package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// cookie holds who a viewer is: a random secret. Nobody logs in. All else, and
// everybody else, knows a hash of it only.
const cookie = "platform"

var secret = regexp.MustCompile(`^[A-Z2-7]{26}$`)

// session returns the viewer of a request, and gives one to who has none.
func session(w http.ResponseWriter, r *http.Request) string {
	c, err := r.Cookie(cookie)
	if err != nil || !secret.MatchString(c.Value) {
		c = &http.Cookie{
			Name: cookie, Value: rand.Text(), Path: "/", MaxAge: 365 * 24 * 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		}
		http.SetCookie(w, c)
	}
	sum := sha256.Sum256([]byte(c.Value))
	return hex.EncodeToString(sum[:8])
}

type person struct {
	Viewer string `json:"viewer"`
	Name   string `json:"name"`
}

func (a *App) getSession(ctx context.Context, _ *http.Request, viewer string) (any, error) {
	name, err := a.name(ctx, viewer)
	return person{viewer, name}, err
}

func (a *App) putSession(ctx context.Context, r *http.Request, viewer string) (any, error) {
	var in struct{ Name string }
	if err := read(r, &in); err != nil {
		return nil, err
	}
	name, err := line("name", in.Name, 40)
	if err != nil {
		return nil, err
	}
	_, err = a.DB.Exec(ctx, "INSERT INTO viewers (id, name) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET name = excluded.name", viewer, name)
	return person{viewer, name}, err
}

// name is what a viewer is called: what they say, or a guest.
func (a *App) name(ctx context.Context, viewer string) (string, error) {
	var name string
	err := a.DB.QueryRow(ctx, "SELECT name FROM viewers WHERE id = $1", viewer).Scan(&name)
	if errors.Is(err, pgx.ErrNoRows) {
		return "guest " + viewer[:4], nil
	}
	return name, err
}

// line checks a text of one line, of 1 to longest characters.
func line(what, text string, longest int) (string, error) {
	text = strings.TrimSpace(text)
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", problem{http.StatusBadRequest, "the " + what + " has characters that cannot be shown"}
	}
	if n := utf8.RuneCountInString(text); n == 0 || n > longest {
		return "", problem{http.StatusBadRequest, "the " + what + " is empty or too long"}
	}
	return text, nil
}
