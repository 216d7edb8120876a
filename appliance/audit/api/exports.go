package api

import (
	"context"
	"io"
	"net/http"

	"nimbus/appliance/audit"
	"nimbus/appliance/id"
	"nimbus/appliance/web"
)

func registerExports(a *web.API, h handlers) {
	route := func(method, path, summary string) web.Route {
		return web.Route{Method: method, Path: "/v1/audit/exports" + path, Tag: tag, Summary: summary, Permission: audit.CreateExport}
	}
	start := route(http.MethodPost, "", "Begin to export audit records with their proof")
	start.Status = http.StatusAccepted
	web.Handle(a, start, h.startExport)
	web.Handle(a, route(http.MethodGet, "", "List exports, newest first"), h.exports)
	web.Handle(a, route(http.MethodGet, "/{id}", "How far an export is"), h.export)
	web.Handle(a, route(http.MethodDelete, "/{id}", "Stop an export, or remove its file"), h.deleteExport)
	web.HandleDownload(a, route(http.MethodGet, "/{id}/content", "The file of an export"), h.exportContent)
	web.HandleDownload(a, route(http.MethodGet, "/{id}/proof", "The proof of an exported table"), h.exportProof)
}

type startExportInput struct {
	Body struct {
		Format  audit.ExportFormat `json:"format" enum:"jsonl,csv"`
		Filter  audit.Filter       `json:"filter,omitempty"`
		Archive bool               `json:"include_archive,omitempty" doc:"Also records that are in the archive only; needs audit:archive:read."`
	}
}

func (h handlers) startExport(ctx context.Context, in *startExportInput) (audit.Export, error) {
	if in.Body.Archive {
		return h.StartExportWithArchive(ctx, in.Body.Format, in.Body.Filter)
	}
	return h.StartExport(ctx, in.Body.Format, in.Body.Filter)
}

type exportPage struct {
	Items []audit.Export `json:"items"`
	Next  *string        `json:"next"`
}

func (h handlers) exports(ctx context.Context, _ *web.None) (exportPage, error) {
	all, err := h.Exports(ctx)
	return exportPage{Items: all}, err
}

type exportInput struct {
	ID id.ID `path:"id"`
}

func (h handlers) export(ctx context.Context, in *exportInput) (audit.Export, error) {
	return h.Export(ctx, in.ID)
}

func (h handlers) deleteExport(ctx context.Context, in *exportInput) (web.None, error) {
	return web.None{}, h.DeleteExport(ctx, in.ID)
}

func (h handlers) exportContent(ctx context.Context, in *exportInput) (web.Download, error) {
	e, file, err := h.OpenExport(ctx, in.ID, false)
	if err != nil {
		return web.Download{}, err
	}
	name, media := "audit-"+e.CreatedAt.Format("2006-01-02-150405"), "application/x-ndjson"
	if e.Format == audit.CSV {
		media = "text/csv; charset=utf-8"
	}
	return send(file, name+"."+string(e.Format), media), nil
}

func (h handlers) exportProof(ctx context.Context, in *exportInput) (web.Download, error) {
	e, file, err := h.OpenExport(ctx, in.ID, true)
	if err != nil {
		return web.Download{}, err
	}
	return send(file, "audit-"+e.CreatedAt.Format("2006-01-02-150405")+".csv.proof", "application/x-ndjson"), nil
}

// send copies a file to whoever asked for it, and closes it.
func send(file io.ReadCloser, name, media string) web.Download {
	return web.Download{Filename: name, ContentType: media, Write: func(_ context.Context, w io.Writer) error {
		defer file.Close()
		_, err := io.Copy(w, file)
		return err
	}}
}
