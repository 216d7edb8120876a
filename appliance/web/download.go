package web

import (
	"context"
	"io"
	"log/slog"
	"mime"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Download is an answer that is sent while it is made, and never kept.
type Download struct {
	ContentType string
	Filename    string
	// Write sends the body. When it fails the answer ends early: the format has
	// to show that something is missing.
	Write func(ctx context.Context, w io.Writer) error
}

// HandleDownload declares a route that answers with a file. What goes wrong
// before the first byte becomes a problem document.
func HandleDownload[In any](a *API, r Route, fn func(ctx context.Context, in *In) (Download, error)) {
	a.routes = append(a.routes, r)
	op := operation(r, http.StatusOK)
	op.Responses = map[string]*huma.Response{"200": {
		Description: "OK", Content: map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
	}}
	huma.Register(a.huma, op, func(ctx context.Context, in *In) (*huma.StreamResponse, error) {
		d, err := call(ctx, a, r, in, fn)
		if err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(c huma.Context) { a.send(c, d) }}, nil
	})
}

func (a *API) send(c huma.Context, d Download) {
	c.SetHeader("Content-Type", d.ContentType)
	c.SetHeader("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": d.Filename}))
	c.SetHeader("Cache-Control", "no-store")
	c.SetStatus(http.StatusOK)
	if err := d.Write(c.Context(), c.BodyWriter()); err != nil {
		a.logger.Log(c.Context(), slog.LevelWarn, "a download ended early", "error", err, "request_id", RequestID(c.Context()))
	}
}
