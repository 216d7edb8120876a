package api

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"

	"nimbus/appliance/audit"
	"nimbus/appliance/id"
	"nimbus/appliance/web"
)

// registerLife declares the routes about how long records are kept and where
// their copies are.
func registerLife(a *web.API, h handlers) {
	route := func(method, path, permission, summary string) web.Route {
		return web.Route{Method: method, Path: "/v1/audit" + path, Tag: tag, Summary: summary, Permission: permission}
	}
	with := func(r web.Route, status int) web.Route {
		r.Status = status
		return r
	}
	web.Handle(a, route(http.MethodGet, "/retention", audit.ReadRetention, "How long records are kept"), h.retention)
	web.Handle(a, route(http.MethodPut, "/retention", audit.UpdateRetention, "Choose how long records are kept"), h.setRetention)
	web.Handle(a, route(http.MethodGet, "/holds", audit.ReadHolds, "List legal holds"), h.holds)
	web.Handle(a, with(route(http.MethodPost, "/holds", audit.CreateHold, "Hold records whatever their retention"), http.StatusCreated), h.addHold)
	web.Handle(a, route(http.MethodDelete, "/holds/{id}", audit.ReleaseHold, "Release a legal hold; it stays in the list"), h.releaseHold)
	web.Handle(a, route(http.MethodGet, "/archive/target", audit.ReadArchive, "Where copies of records go"), h.archive)
	web.Handle(a, route(http.MethodPut, "/archive/target", audit.UpdateArchive, "Choose where copies of records go"), h.setArchive)
	web.Handle(a, route(http.MethodPost, "/archive/target/test", audit.UpdateArchive, "Try whether the archive can be written and read"), h.testArchive)
	web.Handle(a, with(route(http.MethodPost, "/archive/run", audit.UpdateArchive, "Archive and prune now"), http.StatusAccepted), h.runArchive)
	web.Handle(a, route(http.MethodGet, "/archive/segments", audit.ReadArchive, "List segments of the archive, newest first"), h.segments)
	records := route(http.MethodGet, "/archive/segments/{id}/records", audit.ReadArchive, "Search the records of a segment, oldest first")
	records.Description = "The segment is read from the archive and proved before anything is answered. Needs `" + audit.ReadPermission + "` too."
	web.Handle(a, records, h.segmentRecords)
	content := route(http.MethodGet, "/archive/segments/{id}/content", audit.ReadArchive, "A segment as it is in the archive")
	content.Description = "Lines of JSON with their proof, compressed with zstd; nimbus-verify reads it. Needs `" + audit.ReadPermission + "` too."
	web.HandleDownload(a, content, h.segmentContent)
}

func (h handlers) retention(ctx context.Context, _ *web.None) (audit.Retention, error) {
	return h.Retention(ctx)
}

type retentionInput struct{ Body audit.Retention }

func (h handlers) setRetention(ctx context.Context, in *retentionInput) (audit.Retention, error) {
	return h.SetRetention(ctx, in.Body)
}

type holdPage struct {
	Items []audit.Hold `json:"items"`
	Next  *string      `json:"next"`
}

func (h handlers) holds(ctx context.Context, _ *web.None) (holdPage, error) {
	all, err := h.Holds(ctx)
	return holdPage{Items: all}, err
}

type holdInput struct{ Body audit.NewHold }

func (h handlers) addHold(ctx context.Context, in *holdInput) (audit.Hold, error) {
	return h.AddHold(ctx, in.Body)
}

type releaseInput struct {
	ID     id.ID  `path:"id"`
	Reason string `query:"reason" maxLength:"1000" doc:"Why; it is recorded."`
}

func (h handlers) releaseHold(ctx context.Context, in *releaseInput) (web.None, error) {
	return web.None{}, h.ReleaseHold(ctx, in.ID, in.Reason)
}

func (h handlers) archive(ctx context.Context, _ *web.None) (audit.ArchiveStatus, error) {
	return h.Archive(ctx)
}

type archiveInput struct{ Body audit.ArchiveTarget }

func (h handlers) setArchive(ctx context.Context, in *archiveInput) (audit.ArchiveStatus, error) {
	return h.SetArchive(ctx, in.Body)
}

func (h handlers) testArchive(ctx context.Context, _ *web.None) (web.None, error) {
	return web.None{}, h.TestArchive(ctx)
}

func (h handlers) runArchive(ctx context.Context, _ *web.None) (web.None, error) {
	return web.None{}, h.RunArchive(ctx)
}

type segmentsInput struct {
	Cursor string `query:"cursor" doc:"The next of the page before."`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
}

type segmentPage struct {
	Items []audit.ArchivedSegment `json:"items"`
	Next  *string                 `json:"next"`
}

func (h handlers) segments(ctx context.Context, in *segmentsInput) (segmentPage, error) {
	before, err := cursor(in.Cursor)
	if err != nil {
		return segmentPage{}, err
	}
	all, err := h.Segments(ctx, before, in.Limit)
	p := segmentPage{Items: all}
	if len(all) == in.Limit {
		next := strconv.FormatInt(all[len(all)-1].First, 10)
		p.Next = &next
	}
	return p, err
}

type segmentRecordsInput struct {
	ID id.ID `path:"id"`
	FilterInput
	Cursor string `query:"cursor" doc:"The next of the page before."`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
}

// archivedRecord is a record that was read from the archive.
type archivedRecord struct {
	Sequence   int64          `json:"sequence"`
	ID         id.ID          `json:"id"`
	Time       string         `json:"time" format:"date-time"`
	Event      string         `json:"event"`
	Category   string         `json:"category"`
	Priority   audit.Priority `json:"priority"`
	Outcome    audit.Outcome  `json:"outcome"`
	Actor      person         `json:"actor"`
	OnBehalfOf *principal     `json:"on_behalf_of" doc:"For whom the actor acted; null: for nobody else."`
	Target     audit.Target   `json:"target"`
	TargetName string         `json:"target_name"`
	Address    string         `json:"address"`
	RequestID  string         `json:"request_id"`
	Reason     string         `json:"reason"`
	Body       string         `json:"body" doc:"As it was stored and hashed."`
	Leaf       string         `json:"leaf" doc:"RFC 9162 leaf hash of the body, base64."`
}

type archivedPage struct {
	Items []archivedRecord `json:"items"`
	Next  *string          `json:"next"`
}

func (h handlers) segmentRecords(ctx context.Context, in *segmentRecordsInput) (archivedPage, error) {
	after, err := cursor(in.Cursor)
	if err != nil {
		return archivedPage{}, err
	}
	f := in.filter()
	f.After, f.Limit = after, in.Limit
	found, err := h.SegmentRecords(ctx, in.ID, f)
	p := archivedPage{Items: make([]archivedRecord, len(found))}
	for i, s := range found {
		r := present(s)
		p.Items[i] = archivedRecord{Sequence: r.Sequence, ID: r.ID, Time: r.Time.Format("2006-01-02T15:04:05.999999Z07:00"), Event: r.Event, Category: r.Category,
			Priority: r.Priority, Outcome: r.Outcome, Actor: r.Actor, OnBehalfOf: r.OnBehalfOf, Target: r.Target, TargetName: r.TargetName, Address: r.Address, RequestID: r.RequestID,
			Reason: r.Reason, Body: string(s.Body), Leaf: base64.StdEncoding.EncodeToString(s.Leaf)}
	}
	if len(found) == in.Limit {
		next := strconv.FormatInt(found[len(found)-1].Sequence, 10)
		p.Next = &next
	}
	return p, err
}

type segmentInput struct {
	ID id.ID `path:"id"`
}

func (h handlers) segmentContent(ctx context.Context, in *segmentInput) (web.Download, error) {
	seg, object, err := h.OpenSegment(ctx, in.ID)
	if err != nil {
		return web.Download{}, err
	}
	return send(object, fmt.Sprintf("audit-%d-%d.jsonl.zst", seg.First, seg.Last), "application/zstd"), nil
}
