package postgres

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Base describes a base backup. LSNs are places in the write-ahead log; the segments that
// they are in have to be there for it to be of use, and the backup holds them.
type Base struct {
	Timeline string `json:"timeline"`
	StartLSN string `json:"start_lsn"`
	EndLSN   string `json:"end_lsn"`
	SystemID string `json:"system_id"`
	StartWAL string `json:"start_wal"`
	EndWAL   string `json:"end_wal"`
	// Bytes is how much was to be copied when it began.
	Bytes    int64     `json:"bytes"`
	Began    time.Time `json:"began_at"`
	Finished time.Time `json:"finished_at"`
}

// BaseBackup copies the whole running cluster, all its databases at one moment: that of
// its end. Each file is given to emit with its header; what Postgres leaves out of it
// (locks, sockets, temporary files) is not needed. The log that makes it whole is in it.
// Pages with a wrong checksum are an error.
func (s *Server) BaseBackup(ctx context.Context, emit func(Base, *tar.Header, io.Reader) error) (Base, error) {
	dsn := s.AdminDSN(superuser)
	if dsn == "" {
		return Base{}, errors.New("postgres is not started")
	}
	return BaseBackup(ctx, dsn, emit)
}

// BaseBackup is Server.BaseBackup through a superuser's DSN.
func BaseBackup(ctx context.Context, dsn string, emit func(Base, *tar.Header, io.Reader) error) (Base, error) {
	conn, err := replicate(ctx, dsn)
	if err != nil {
		return Base{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	b := &baseReader{ctx: ctx, conn: conn}
	b.Began = time.Now().UTC()
	if b.SystemID, err = hold(ctx, conn); err != nil {
		return Base{}, fmt.Errorf("base backup: %w", err)
	}
	conn.Frontend().SendQuery(&pgproto3.Query{
		String: "BASE_BACKUP (LABEL 'nimbus', CHECKPOINT 'fast', WAL true, WAIT false, PROGRESS true, MANIFEST 'no')"})
	if err := conn.Frontend().Flush(); err != nil {
		return Base{}, fmt.Errorf("base backup: %w", err)
	}
	if err := b.files(emit); err != nil {
		return Base{}, fmt.Errorf("base backup: %w", err)
	}
	b.Finished = time.Now().UTC()
	return b.Base, b.name()
}

// SystemID identifies a cluster, through a superuser's DSN. A copy of its files keeps it.
func SystemID(ctx context.Context, dsn string) (system string, err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, `select system_identifier::text from pg_control_system()`).Scan(&system)
	return system, err
}

// RunningDSN is the superuser's address of the server that another process runs
// on dir. It is a secret.
func RunningDSN(dir string) (string, error) {
	password, err := os.ReadFile(filepath.Join(dir, "password"))
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(dir, "port"))
	if err != nil {
		return "", err
	}
	port, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return "", err
	}
	r := running{password: strings.TrimSpace(string(password)), port: port}
	return r.dsn(superuser), nil
}

func replicate(ctx context.Context, dsn string) (*pgconn.PgConn, error) {
	cfg, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.RuntimeParams["replication"] = "true"
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("base backup: %w", err)
	}
	return conn, nil
}

// hold keeps the log from now on for as long as the connection lives, and returns the
// cluster's identifier.
func hold(ctx context.Context, conn *pgconn.PgConn) (string, error) {
	results, err := conn.Exec(ctx, "IDENTIFY_SYSTEM").ReadAll()
	if err != nil {
		return "", err
	}
	if len(results) == 0 || len(results[0].Rows) == 0 {
		return "", errors.New("postgres does not say which cluster it is")
	}
	slot := fmt.Sprintf("nimbus_backup_%d", time.Now().UnixNano())
	_, err = conn.Exec(ctx, "CREATE_REPLICATION_SLOT "+slot+" TEMPORARY PHYSICAL (RESERVE_WAL true)").ReadAll()
	return string(results[0].Rows[0][0]), err
}

// baseReader reads what Postgres sends for BASE_BACKUP: a row with the start, one with
// the size, the archive in pieces, and a row with the end.
type baseReader struct {
	Base
	ctx  context.Context
	conn *pgconn.PgConn
	rest []byte // of the piece that was received last
	rows int
	done bool
}

// files reads the archive file by file, and then the end.
func (b *baseReader) files(emit func(Base, *tar.Header, io.Reader) error) error {
	for in := tar.NewReader(b); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = emit(b.Base, h, in)
		}
		if err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, b); err != nil {
		return err
	}
	if b.EndLSN == "" {
		return errors.New("postgres ended the backup too early")
	}
	return nil
}

// Read implements io.Reader over the pieces of the archive.
func (b *baseReader) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if b.done {
			return 0, io.EOF
		}
		if err := b.receive(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *baseReader) receive() error {
	msg, err := b.conn.ReceiveMessage(b.ctx)
	if err != nil {
		return err
	}
	switch m := msg.(type) {
	case *pgproto3.ErrorResponse:
		return pgconn.ErrorResponseToPgError(m)
	case *pgproto3.DataRow:
		return b.row(m.Values)
	case *pgproto3.CopyData:
		return b.piece(m.Data)
	case *pgproto3.ReadyForQuery:
		b.done = true
	}
	return nil
}

// row is the start, the one data directory with its size in kilobytes, or the end.
func (b *baseReader) row(values [][]byte) error {
	b.rows++
	switch {
	case b.rows == 1 && len(values) == 2:
		b.StartLSN, b.Timeline = string(values[0]), string(values[1])
	case b.rows == 2 && len(values) == 3 && values[0] == nil:
		_, err := fmt.Sscan(string(values[2]), &b.Bytes)
		b.Bytes <<= 10
		return err
	case b.rows == 3 && len(values) == 2:
		b.EndLSN = string(values[0])
	default:
		return errors.New("the cluster has tablespaces outside its data directory, which cannot be backed up")
	}
	return nil
}

// piece is a part of the archive when it begins with d; others tell what comes and how
// far it is.
func (b *baseReader) piece(data []byte) error {
	if len(data) == 0 {
		return errors.New("an empty message came from postgres")
	}
	if data[0] == 'd' {
		b.rest = data[1:]
	}
	return nil
}

// segmentBits is log2 of the size of a segment, which initdb leaves at 16 MB.
const segmentBits = 24

// segmentOf is the name of the segment that holds the byte before or at an LSN.
func segmentOf(timeline, lsn string, before uint64) (string, error) {
	var line uint32
	var high, low uint64
	if _, err := fmt.Sscanf(timeline+" "+lsn, "%d %X/%X", &line, &high, &low); err != nil {
		return "", fmt.Errorf("postgres says that the backup is at %q on timeline %q: %w", lsn, timeline, err)
	}
	at := (high<<32 | low) - before
	return fmt.Sprintf("%08X%08X%08X", line, at>>32, uint32(at)>>segmentBits), nil
}

// name finds the names of the segments that the backup begins and ends in.
func (b *Base) name() (err error) {
	if b.StartWAL, err = segmentOf(b.Timeline, b.StartLSN, 0); err != nil {
		return err
	}
	b.EndWAL, err = segmentOf(b.Timeline, b.EndLSN, 1)
	return err
}

// NextSegment is the name of the segment after one of the same timeline; "" for what is
// no segment's name.
func NextSegment(name string) string {
	var line, high, low uint32
	if n, err := fmt.Sscanf(name, "%08X%08X%08X", &line, &high, &low); err != nil || n != 3 || len(name) != 24 {
		return ""
	}
	at := uint64(high)<<(32-segmentBits) + uint64(low) + 1
	return fmt.Sprintf("%08X%08X%08X", line, at>>(32-segmentBits), at&(1<<(32-segmentBits)-1))
}
