package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/db"
	"nimbus/appliance/fault"
)

// Migrations holds the table of idempotency keys.
//
//go:embed migrations/*.sql
var Migrations embed.FS

const (
	keyLifetime = 24 * time.Hour
	// stuckAfter is when a request that never answered (the process died)
	// gives its key free.
	stuckAfter = 2 * time.Minute
	maxKey     = 200
	// mostForgotten is how many keys that are over one request removes.
	mostForgotten = 100
	// statusSecret stands for an answer that must not be kept.
	statusSecret = 0
)

// Idempotent makes a POST with an Idempotency-Key header happen once: the same
// key with the same request gives the first answer again, with another request
// fault.Conflict. Keys belong to the actor in one tenant, because in another the
// same request is about other things, and live 24 hours. Answers with a
// status of 500 and above are not kept, so that they can be tried again.
func Idempotent(d *db.DB) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			key := r.Header.Get("Idempotency-Key")
			a, ok := actor.From(r.Context())
			if key == "" || r.Method != http.MethodPost || !ok {
				next.ServeHTTP(w, r)
				return
			}
			if err := once(d, a, key, next, w, r); err != nil {
				Fail(w, r, err)
			}
		})
	}
}

func once(d *db.DB, a actor.Actor, key string, next http.Handler, w http.ResponseWriter, r *http.Request) error {
	if len(key) > maxKey {
		return fault.BadField("header.Idempotency-Key", "An idempotency key has at most %d characters.", maxKey)
	}
	sum, err := digest(r)
	if err != nil {
		return err
	}
	owner := string(a.Kind) + ":" + a.ID.String() + ":" + a.TenantID.String()
	first, kept, err := claim(r.Context(), d, owner, key, sum)
	if err != nil {
		return err
	}
	if !first {
		kept.replay(w)
		return nil
	}
	rec := &capture{ResponseWriter: w, kept: kept}
	defer finish(context.WithoutCancel(r.Context()), d, owner, key, rec)
	next.ServeHTTP(rec, r)
	return nil
}

// digest hashes the request and leaves its body readable.
func digest(r *http.Request) (string, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxJSON+1))
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "The request's body could not be read.")
	}
	if len(body) > maxJSON {
		return "", fault.New(fault.Invalid, "The request's body is larger than %d bytes.", maxJSON)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	h := sha256.New()
	fmt.Fprintf(h, "%s %d:%s\n", r.Method, len(r.URL.RequestURI()), r.URL.RequestURI())
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// keptAnswer is a stored answer.
type keptAnswer struct {
	status                int
	contentType, location string
	body                  []byte
}

func (k *keptAnswer) replay(w http.ResponseWriter) {
	if k.contentType != "" {
		w.Header().Set("Content-Type", k.contentType)
	}
	if k.location != "" {
		w.Header().Set("Location", k.location)
	}
	w.Header().Set("Idempotency-Replayed", "true")
	w.WriteHeader(k.status)
	_, _ = w.Write(k.body)
}

// claim takes the key, or returns the answer kept under it.
func claim(ctx context.Context, d *db.DB, owner, key, sum string) (first bool, kept *keptAnswer, err error) {
	kept = &keptAnswer{}
	err = d.Core(ctx, func(ctx context.Context) error {
		tx := db.Tx(ctx)
		_, err := tx.Exec(ctx, `delete from idempotency where actor = $1 and key = $2 and
			(created_at < now() - make_interval(secs => $3) or (status is null and created_at < now() - make_interval(secs => $4)))`,
			owner, key, keyLifetime.Seconds(), stuckAfter.Seconds())
		if err != nil {
			return err
		}
		// Each new key makes room: those that nobody sends again are over too.
		_, err = tx.Exec(ctx, `delete from idempotency where (actor, key) in (select actor, key from idempotency
			where created_at < now() - make_interval(secs => $1) order by created_at limit $2 for update skip locked)`, keyLifetime.Seconds(), mostForgotten)
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `insert into idempotency (actor, key, request) values ($1, $2, $3) on conflict do nothing`, owner, key, sum)
		if err != nil || tag.RowsAffected() == 1 {
			first = true
			return err
		}
		return readKept(ctx, owner, key, sum, kept)
	})
	return first, kept, err
}

func readKept(ctx context.Context, owner, key, sum string, kept *keptAnswer) error {
	var request string
	var status *int
	err := db.Tx(ctx).QueryRow(ctx, `select request, status, coalesce(content_type, ''), coalesce(location, ''), body
		from idempotency where actor = $1 and key = $2`, owner, key).
		Scan(&request, &status, &kept.contentType, &kept.location, &kept.body)
	switch {
	case err != nil:
		return err
	case request != sum:
		return fault.New(fault.Conflict, "This Idempotency-Key was used for another request. Use a fresh one.")
	case status == nil:
		return fault.New(fault.Conflict, "The same request is still running. Wait for it.")
	case *status == statusSecret:
		return fault.New(fault.Conflict, "This request was done before. Its answer held a secret, which is shown once only.")
	}
	kept.status = *status
	return nil
}

// finish keeps the answer, or gives the key free when there is none worth keeping.
func finish(ctx context.Context, d *db.DB, owner, key string, rec *capture) {
	_ = d.Core(ctx, func(ctx context.Context) error {
		k := rec.kept
		if rec.secret {
			k.status, k.body = statusSecret, nil
		} else if k.status == 0 || k.status >= http.StatusInternalServerError {
			_, err := db.Tx(ctx).Exec(ctx, `delete from idempotency where actor = $1 and key = $2`, owner, key)
			return err
		}
		_, err := db.Tx(ctx).Exec(ctx, `update idempotency set status = $3, content_type = $4, location = $5, body = $6 where actor = $1 and key = $2`,
			owner, key, k.status, k.contentType, k.location, k.body)
		return err
	})
}

// capture passes an answer on and keeps a copy.
type capture struct {
	http.ResponseWriter
	kept   *keptAnswer
	secret bool // the answer must not be stored (Cache-Control: no-store)
}

func (c *capture) WriteHeader(code int) {
	c.secret = code < http.StatusBadRequest && c.Header().Get("Cache-Control") == "no-store"
	c.kept.status = code
	c.kept.contentType = c.Header().Get("Content-Type")
	c.kept.location = c.Header().Get("Location")
	c.ResponseWriter.WriteHeader(code)
}

func (c *capture) Write(p []byte) (int, error) {
	if c.kept.status == 0 {
		c.WriteHeader(http.StatusOK)
	}
	if !c.secret { // it may be as large as a whole export
		c.kept.body = append(c.kept.body, p...)
	}
	return c.ResponseWriter.Write(p)
}
