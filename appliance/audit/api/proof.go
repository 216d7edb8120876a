package api

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"nimbus/appliance/audit"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/web"
)

func registerProof(a *web.API, h handlers) {
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/audit/verify", Tag: tag,
		Summary: "Verify the audit chain from its first record", Permission: audit.VerifyPermission,
		Description: "A chain of at most 50,000 records, or any with the header `Prefer: wait`, is answered when it is done; else with 202 while it runs."}, h.verify)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/audit/verify/{id}", Tag: tag,
		Summary: "How far a verification is, or what it found", Permission: audit.VerifyPermission}, h.verification)
	web.Handle(a, web.Route{Method: http.MethodDelete, Path: "/v1/audit/verify/{id}", Tag: tag,
		Summary: "Cancel a verification", Permission: audit.VerifyPermission}, h.cancelVerification)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/audit/checkpoints", Tag: tag,
		Summary: "List signed heads of the audit chain, newest first", Permission: audit.ReadPermission}, h.checkpoints)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/audit/checkpoints", Tag: tag,
		Summary: "Sign the head of the audit chain now", Permission: audit.CheckpointPermission, Status: http.StatusCreated}, h.createCheckpoint)
	web.HandleDownload(a, web.Route{Method: http.MethodGet, Path: "/v1/audit/checkpoints/latest", Tag: tag,
		Summary: "The newest checkpoint as it was signed", Permission: audit.ReadPermission}, h.latestCheckpoint)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/audit/proofs/inclusion", Tag: tag,
		Summary: "Prove that a record is in a checkpoint", Permission: audit.ReadPermission}, h.inclusion)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/audit/proofs/consistency", Tag: tag,
		Summary: "Prove that a chain begins with an earlier one", Permission: audit.ReadPermission}, h.consistency)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/audit/keys", Tag: tag,
		Summary: "Keys that sign or signed checkpoints", Permission: audit.ReadPermission}, h.keys)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/audit/signer", Tag: tag,
		Summary: "How the key that signs checkpoints is", Permission: audit.ReadPermission}, h.signer)
	web.Handle(a, web.Route{Method: http.MethodGet, Path: "/v1/audit/publication", Tag: tag,
		Summary: "Where checkpoints are published", Permission: audit.PublishPermission}, h.publication)
	web.Handle(a, web.Route{Method: http.MethodPut, Path: "/v1/audit/publication", Tag: tag,
		Summary: "Choose where checkpoints are published", Permission: audit.PublishPermission}, h.setPublication)
	web.Handle(a, web.Route{Method: http.MethodPost, Path: "/v1/audit/publication/places/{id}/test", Tag: tag,
		Summary: "Publish the newest checkpoint to one place now", Permission: audit.PublishPermission}, h.testPlace)
}

type verifyInput struct {
	Prefer string `header:"Prefer" doc:"wait: answer when it is done."`
}

func (h handlers) verify(ctx context.Context, in *verifyInput) (audit.VerificationRun, error) {
	r, err := h.StartVerification(ctx, in.Prefer == "wait")
	if err == nil && r.State == "running" {
		web.SetStatus(ctx, http.StatusAccepted)
	}
	return r, err
}

type runInput struct {
	ID id.ID `path:"id"`
}

func (h handlers) verification(ctx context.Context, in *runInput) (audit.VerificationRun, error) {
	return h.Service.Verification(ctx, in.ID)
}

func (h handlers) cancelVerification(ctx context.Context, in *runInput) (web.None, error) {
	return web.None{}, h.CancelVerification(ctx, in.ID)
}

type checkpoint struct {
	ID        id.ID         `json:"id"`
	Size      int64         `json:"size"`
	Root      string        `json:"root" doc:"Base64, as in the note."`
	Note      string        `json:"note"`
	KeyKind   string        `json:"key_kind" enum:"hsm,file"`
	KeyName   string        `json:"key_name"`
	Algorithm string        `json:"algorithm"`
	CreatedAt time.Time     `json:"created_at"`
	Published []publication `json:"published"`
}

type publication struct {
	PlaceID id.ID      `json:"place_id"`
	Place   string     `json:"place"`
	At      *time.Time `json:"at"`
	Error   string     `json:"error"`
}

type checkpointPage struct {
	Items []checkpoint `json:"items"`
	Next  *string      `json:"next"`
}

type checkpointsInput struct {
	Cursor string `query:"cursor" doc:"The next of the page before."`
	Limit  int    `query:"limit" default:"50" minimum:"1" maximum:"200"`
}

func (h handlers) checkpoints(ctx context.Context, in *checkpointsInput) (checkpointPage, error) {
	var before int64
	if in.Cursor != "" {
		var err error
		if before, err = strconv.ParseInt(in.Cursor, 10, 64); err != nil || before < 1 {
			return checkpointPage{}, fault.BadField("query.cursor", "The cursor is not one that a page before gave.")
		}
	}
	all, err := h.ListCheckpoints(ctx, before, in.Limit)
	p := checkpointPage{Items: make([]checkpoint, len(all))}
	for i, c := range all {
		p.Items[i] = presentCheckpoint(c)
	}
	if len(all) == in.Limit && len(all) > 0 {
		next := strconv.FormatInt(all[len(all)-1].Size, 10)
		p.Next = &next
	}
	return p, err
}

func presentCheckpoint(c audit.Checkpoint) checkpoint {
	out := checkpoint{ID: c.ID, Size: c.Size, Root: base64.StdEncoding.EncodeToString(c.Root[:]), Note: c.Note, KeyKind: c.KeyKind, KeyName: c.KeyName,
		Algorithm: c.Algorithm, CreatedAt: c.CreatedAt, Published: []publication{}}
	for _, p := range c.Published {
		out.Published = append(out.Published, presentPublication(p))
	}
	return out
}

func presentPublication(p audit.Publication) publication {
	return publication{PlaceID: p.PlaceID, Place: p.Place, At: p.At, Error: p.Error}
}

func (h handlers) createCheckpoint(ctx context.Context, _ *web.None) (checkpoint, error) {
	c, err := h.CreateCheckpoint(ctx)
	return presentCheckpoint(c), err
}

func (h handlers) latestCheckpoint(ctx context.Context, _ *web.None) (web.Download, error) {
	c, err := h.LatestCheckpoint(ctx)
	return web.Download{Filename: "checkpoint.txt", ContentType: "text/plain; charset=utf-8", Write: func(_ context.Context, w io.Writer) error {
		_, err := io.Copy(w, strings.NewReader(c.Note))
		return err
	}}, err
}

type inclusionInput struct {
	Sequence int64 `query:"sequence" required:"true" minimum:"1"`
	Size     int64 `query:"size" doc:"Of a checkpoint; without it the newest."`
}

type inclusion struct {
	Leaf       string   `json:"leaf" doc:"Base64."`
	Index      int64    `json:"index" doc:"The sequence number less one."`
	Size       int64    `json:"size"`
	Hashes     []string `json:"hashes" doc:"Base64, the lowest node first (RFC 9162, section 2.1.3)."`
	Checkpoint string   `json:"checkpoint"`
	Body       *string  `json:"body" doc:"What was hashed; null when only the leaf is left."`
}

func (h handlers) inclusion(ctx context.Context, in *inclusionInput) (inclusion, error) {
	p, err := h.ProveInclusion(ctx, in.Sequence, in.Size)
	out := inclusion{Leaf: base64.StdEncoding.EncodeToString(p.Leaf[:]), Index: p.Index, Size: p.Size, Hashes: hashTexts(p.Hashes), Checkpoint: p.Checkpoint}
	if p.Body != nil {
		body := string(p.Body)
		out.Body = &body
	}
	return out, err
}

func hashTexts(hashes []audit.Hash) []string {
	out := make([]string, len(hashes))
	for i := range hashes {
		out[i] = base64.StdEncoding.EncodeToString(hashes[i][:])
	}
	return out
}

type consistencyInput struct {
	From int64 `query:"from" required:"true" minimum:"0"`
	To   int64 `query:"to" required:"true" minimum:"0"`
}

type consistency struct {
	Hashes []string `json:"hashes" doc:"Base64 (RFC 9162, section 2.1.4)."`
}

func (h handlers) consistency(ctx context.Context, in *consistencyInput) (consistency, error) {
	hashes, err := h.ProveConsistency(ctx, in.From, in.To)
	return consistency{hashTexts(hashes)}, err
}

type key struct {
	Name        string     `json:"name" doc:"The origin of the chain."`
	VKey        string     `json:"vkey" doc:"What nimbus-verify --key takes."`
	PEM         string     `json:"pem"`
	Fingerprint string     `json:"fingerprint" doc:"SHA-256 of the public key, in hexadecimal."`
	Algorithm   string     `json:"algorithm"`
	Kind        string     `json:"kind" enum:"hsm,file"`
	Label       string     `json:"label"`
	CreatedAt   time.Time  `json:"created_at"`
	RetiredAt   *time.Time `json:"retired_at"`
}

type keyPage struct {
	Items []key   `json:"items"`
	Next  *string `json:"next"`
}

func (h handlers) keys(ctx context.Context, _ *web.None) (keyPage, error) {
	all, err := h.Keys(ctx)
	p := keyPage{Items: []key{}}
	for _, k := range all {
		p.Items = append(p.Items, key{Name: k.Name, VKey: k.Text, PEM: k.PEM(), Fingerprint: k.Fingerprint(), Algorithm: string(k.Algorithm),
			Kind: k.Kind, Label: k.Label, CreatedAt: k.CreatedAt, RetiredAt: k.RetiredAt})
	}
	return p, err
}

func (h handlers) signer(ctx context.Context, _ *web.None) (audit.SignerState, error) {
	return h.SignerState(ctx)
}

func (h handlers) publication(ctx context.Context, _ *web.None) (audit.Publishing, error) {
	return h.Publishing(ctx)
}

type publicationInput struct {
	Body audit.Publishing
}

func (h handlers) setPublication(ctx context.Context, in *publicationInput) (audit.Publishing, error) {
	return h.SetPublishing(ctx, in.Body)
}

func (h handlers) testPlace(ctx context.Context, in *runInput) (publication, error) {
	p, err := h.TestPlace(ctx, in.ID)
	return presentPublication(p), err
}
