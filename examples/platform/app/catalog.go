package app

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// page is how many titles one answer has at most.
const page = 100

func (a *App) catalog(ctx context.Context, r *http.Request, viewer string) (any, error) {
	after, err := number(r, "after")
	if err != nil {
		return nil, err
	}
	found, err := a.titles.list(ctx, a.DB, after, page)
	if err != nil {
		return nil, err
	}
	out := map[string]any{"titles": found}
	if a.Version.recommends {
		out["recommended"], err = a.recommend(ctx, viewer)
	}
	return out, err
}

// recommend is what v3 adds: titles by the share that they have of what a viewer
// has played. Whoever has played nothing yet divides by zero, which those who
// made it never saw.
func (a *App) recommend(ctx context.Context, viewer string) (any, error) {
	var best *int64
	err := a.DB.QueryRow(ctx, `SELECT id FROM (
			SELECT t.id, 100 * count(e.seq) / (SELECT count(*) FROM entries WHERE topic = 'playing' AND author = $1) AS share
			FROM (SELECT 0 AS id UNION ALL SELECT id FROM titles) t
			LEFT JOIN entries e ON e.topic = 'playing' AND e.author = $1 AND (e.body ->> 'title')::bigint = t.id
			GROUP BY t.id) s
		ORDER BY share DESC LIMIT 1`, viewer).Scan(&best)
	return best, err
}

func (a *App) putTitle(ctx context.Context, r *http.Request, _ string) (any, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return nil, problem{http.StatusNotFound, "no such title"}
	}
	var in struct {
		Length     string `json:"length"`
		DurationMS *int64 `json:"duration_ms"`
	}
	if err := read(r, &in); err != nil {
		return nil, err
	}
	length, err := parseLength(in.Length)
	if in.DurationMS != nil {
		length, err = time.Duration(*in.DurationMS)*time.Millisecond, nil
	}
	if err != nil || length < 0 || length > 1000*time.Hour || in.DurationMS != nil && *in.DurationMS > 1000*3600*1000 {
		return nil, problem{http.StatusBadRequest, "a length is like 1:02:03, up to a thousand hours"}
	}
	found, err := a.titles.setLength(ctx, a.DB, id, length)
	if err == nil && !found {
		err = problem{http.StatusNotFound, "no such title"}
	}
	return map[string]any{"id": id}, err
}

// number reads a parameter of the query, 0 if it is missing.
func number(r *http.Request, name string) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, problem{http.StatusBadRequest, name + " is no number"}
	}
	return n, nil
}
