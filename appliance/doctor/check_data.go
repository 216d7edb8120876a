package doctor

import (
	"context"
	"fmt"
	"time"

	"nimbus/appliance/db"
	"nimbus/appliance/fault"
)

// Postgres asks the server how it is.
func Postgres(d *db.DB) Check {
	return Check{"postgres", Data, func(ctx context.Context) Finding {
		var c cluster
		began := time.Now()
		err := d.Core(ctx, func(ctx context.Context) (err error) { c, err = readCluster(ctx); return err })
		if err != nil {
			return fail("Postgres does not answer: "+fault.Message(err), "Look at `nimbus status` and at the log; the embedded server is started again by itself.")
		}
		return postgresFinding(c, time.Until(c.Now)).with("version", c.Version).with("connections", c.Connections).
			with("max_connections", c.Most).with("answer_ms", time.Since(began).Milliseconds()).with("checksum_failures", c.Corrupt)
	}}
}

const (
	wraparound = 1_000_000_000 // half of what Postgres can tell apart
	longOpen   = 30 * 60       // seconds
	clockApart = 5 * time.Second
)

func postgresFinding(c cluster, apart time.Duration) Finding {
	switch {
	case c.Corrupt > 0:
		return fail(fmt.Sprintf("Postgres read %d damaged blocks.", c.Corrupt),
			"The disk or the memory of this machine is failing. Make a backup now, verify it, and restore it on another machine.")
	case c.Oldest > wraparound:
		return fail("Postgres cannot clean up: its oldest transactions are too old.", "Look for transactions that never end, and run `vacuum freeze` as the superuser.")
	case c.Connections*100 > c.Most*90:
		return warn(fmt.Sprintf("%d of %d connections to Postgres are in use.", c.Connections, c.Most), "Raise max_connections, or run fewer nodes on this server.")
	case c.LongestOpen > longOpen:
		return warn(fmt.Sprintf("A transaction is open for %d minutes.", int(c.LongestOpen/60)), "Look at pg_stat_activity for what it waits for; it keeps Postgres from cleaning up.")
	case apart > clockApart || apart < -clockApart:
		return warn(fmt.Sprintf("The clock of the database server differs from ours by %s.", apart.Round(time.Second)), "Keep both clocks by the same time server.")
	case c.Checksums != "on":
		return warn("Postgres does not check its blocks for damage.", "Switch checksums on with pg_checksums while the server is stopped.")
	}
	return fine("Postgres " + c.Version + " answers, and no damaged block was read.")
}

// Schema compares the schemas of the database with those of this release.
func Schema(d *db.DB, history []db.Migration) Check {
	return Check{"schema", Data, func(ctx context.Context) Finding {
		var versions map[string]int
		var scopes int
		err := d.Core(ctx, func(ctx context.Context) (err error) { versions, scopes, err = applied(ctx); return err })
		if err != nil {
			return unknown("The schema versions cannot be read: " + fault.Message(err))
		}
		return schemaFinding(history, versions, scopes).with("schemas", scopes).with("newest", newest(history)).with("migrations", len(history))
	}}
}

func newest(history []db.Migration) string {
	if len(history) == 0 {
		return ""
	}
	return history[len(history)-1].Version
}

func schemaFinding(history []db.Migration, versions map[string]int, scopes int) Finding {
	ours := map[string]bool{}
	behind := 0
	for _, m := range history {
		ours[m.Version] = true
		if versions[m.Version] < scopes {
			behind++
		}
	}
	for v := range versions {
		if !ours[v] {
			return fail("The database was changed by a newer release ("+v+").", "Install that release again; going back is done by restoring a backup.")
		}
	}
	if behind > 0 {
		return fail(fmt.Sprintf("%d schema changes are missing in some schemas.", behind), "Start Nimbus again: it goes on where it was interrupted.")
	}
	return fine(fmt.Sprintf("All %d schemas are of this release.", scopes))
}
