package postgres

import (
	"errors"
	"os"
	"path/filepath"
	"time"
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
