package control

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/greenroom-proxy/greenroom/switcher"
)

var errNoStreams = errors.New("this edge shows no streams")

func (h *Handler) readStreams(ctx context.Context, service string, query url.Values) (any, error) {
	q, problem := parseStreamQuery(query)
	if problem != nil {
		return nil, problem
	}
	if h.streams == nil {
		return nil, errNoStreams
	}
	return h.streams.Streams(ctx, service, q)
}

func parseStreamQuery(query url.Values) (q switcher.StreamQuery, problem *Problem) {
	for key, values := range query {
		if key != "kind" && len(values) > 1 {
			return q, newProblem(CodeInvalid, "query parameter %q is given twice", key)
		}
	}
	var err error
	if text := query.Get("color"); text != "" {
		if q.Color, err = switcher.ParseColor(text); err != nil {
			return q, newProblem(CodeInvalid, "color: %s", err)
		}
	}
	for _, list := range query["kind"] {
		for name := range strings.SplitSeq(list, ",") {
			k, err := switcher.ParseStreamKind(name)
			if err != nil {
				return q, newProblem(CodeInvalid, "%s", err)
			}
			q.Kinds = append(q.Kinds, k)
		}
	}
	if text := query.Get("limit"); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 1 || q.Limit > switcher.MaxStreams {
			return q, newProblem(CodeInvalid, "limit %q: want 1 to %d", cut(text, 20), switcher.MaxStreams)
		}
	}
	q.After = query.Get("after")
	if _, err := strconv.ParseUint(q.After, 36, 64); q.After != "" && err != nil {
		return q, newProblem(CodeInvalid, "after %q: want the id of a stream", cut(q.After, 20))
	}
	return q, nil
}

// Streams returns a page of what a service has under way.
func (c *Client) Streams(ctx context.Context, service string, q switcher.StreamQuery) (switcher.StreamPage, error) {
	query := url.Values{}
	if q.Color != 0 {
		query.Set("color", q.Color.String())
	}
	for _, k := range q.Kinds {
		query.Add("kind", k.String())
	}
	if q.After != "" {
		query.Set("after", q.After)
	}
	if q.Limit != 0 {
		query.Set("limit", strconv.Itoa(q.Limit))
	}
	path := servicePath(service, "/streams")
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return get[switcher.StreamPage](ctx, c, path)
}

// Evict ends streams before any deadline.
func (c *Client) Evict(ctx context.Context, req switcher.EvictRequest) (switcher.Eviction, error) {
	return post[switcher.Eviction](ctx, c, "evict", req.Services, req)
}
