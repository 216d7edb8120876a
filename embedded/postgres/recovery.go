package postgres

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
)

// Recovery makes a Server, on a data directory that is a base backup, replay the log up to
// a moment. Start returns when that is done and the cluster is a new one, on a timeline
// of its own: what it writes is never taken for what the first one wrote. It is for one
// start; the next is without it.
type Recovery struct {
	// Log is a folder with more segments than those in the base backup, and with the
	// histories of all timelines that there ever were; "" is none.
	Log string
	// Until is the last moment whose transactions come back; zero is the end of the log.
	// A log that ends before is an error of Start.
	Until time.Time
}

func (r *Recovery) settings() []string {
	command := "false"
	if r.Log != "" {
		command = "cp " + shellQuote(r.Log) + `/"%f" "%p"`
	}
	list := []string{"restore_command=" + command, "hot_standby=off", "recovery_target_action=promote", "recovery_target_timeline=current"}
	if !r.Until.IsZero() {
		list = append(list, "recovery_target_time="+r.Until.UTC().Format("2006-01-02 15:04:05.999999")+"+00")
	}
	return list
}

// prepare tells Postgres to recover, and lets it read the log.
func (r *Recovery) prepare(h home) error {
	signal := filepath.Join(h.data(), "recovery.signal")
	if err := writeSynced(signal, ""); err != nil {
		return err
	}
	err := h.acct.own(signal)
	if r.Log != "" {
		err = errors.Join(err, h.acct.ownTree(r.Log), os.Chmod(r.Log, 0o700))
	}
	return err
}

// Replayed is how far a start with Recovery came.
type Replayed struct {
	// Segment is that of the last byte that was replayed. One before the last that was
	// there says that the log breaks off in it.
	Segment string
	// Commit is the time of the last transaction that came back; zero is none.
	Commit time.Time
}

// Replayed tells how far the log of a timeline was replayed by this start.
func (s *Server) Replayed(ctx context.Context, timeline string) (r Replayed, err error) {
	var end *string
	var commit *time.Time
	if s.current() == nil {
		return r, errors.New("postgres is not started")
	}
	conn, err := pgx.Connect(ctx, s.AdminDSN(superuser))
	if err != nil {
		return r, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, `select pg_last_wal_replay_lsn()::text, pg_last_xact_replay_timestamp()`).Scan(&end, &commit)
	if err != nil {
		return r, err
	}
	if end == nil {
		return r, errors.New("postgres does not say how far its log was replayed")
	}
	if commit != nil {
		r.Commit = commit.UTC()
	}
	r.Segment, err = segmentOf(timeline, *end, 1)
	return r, err
}
