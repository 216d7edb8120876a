package postgres

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// maxSocketPath is what fits into sockaddr_un on Linux, with its final zero.
const maxSocketPath = 107

// arguments returns the command line of the server: every setting that differs from
// Postgres's default is here and none is in a file, so that an upgrade of this program is
// an upgrade of the settings.
func (s *Server) arguments(r *running) []string {
	args := []string{"-D", r.home.data()}
	for _, setting := range s.settings(r) {
		args = append(args, "-c", setting)
	}
	return args
}

func (s *Server) settings(r *running) []string {
	list := []string{
		"listen_addresses=127.0.0.1",
		"port=" + strconv.Itoa(r.port),
		"unix_socket_directories=" + socketDir(r.home.run(), r.port),
		"unix_socket_permissions=0700",
		fmt.Sprintf("max_connections=%d", s.cfg.MaxConnections),
		fmt.Sprintf("shared_buffers=%dMB", sharedBuffers(memory())>>20),

		// Few processes: one machine, many small queries.
		"huge_pages=off", "jit=off",
		"max_worker_processes=4", "max_parallel_workers=2", "max_parallel_workers_per_gather=1",
		"autovacuum_max_workers=2", "max_logical_replication_workers=0",

		// Solid-state disks, a log that stays small, room for a base backup.
		"random_page_cost=1.1", "wal_compression=on", "min_wal_size=80MB", "max_wal_size=512MB",
		"checkpoint_timeout=15min", "max_wal_senders=3", "max_replication_slots=2",

		// The log names no row and no parameter: both may be secrets.
		"log_error_verbosity=terse", "log_min_error_statement=panic", "log_line_prefix=",
		"log_checkpoints=off", "logging_collector=off", "log_destination=stderr",
		"timezone=UTC", "log_timezone=UTC", "lc_messages=C", "password_encryption=scram-sha-256",

		// The archiver asks for each segment whether the spool is open; a backup whose
		// reader is slow must not fill the disk.
		"archive_mode=on", "archive_command=" + archiveCommand(r.home.spool()), "max_slot_wal_keep_size=4GB",
	}
	if s.cfg.Recover != nil {
		list = append(list, s.cfg.Recover.settings()...)
	}
	if s.cfg.old == nil {
		list = append(list, "io_method=sync") // of 18
	}
	if s.cfg.Unsafe {
		return append(list, "fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off")
	}
	return append(list, "fsync=on", "synchronous_commit=on", "full_page_writes=on")
}

// socketDir returns dir, or nothing when the socket's path would be too long: then there is
// no Unix socket, and TCP on loopback serves all.
func socketDir(dir string, port int) string {
	if len(dir)+len("/.s.PGSQL.")+len(strconv.Itoa(port)) > maxSocketPath {
		return ""
	}
	return dir
}

// sharedBuffers is a sixteenth of the memory, at least 64 and at most 512 MB.
func sharedBuffers(memory int64) int64 {
	return min(max(memory/16, 64<<20), 512<<20)
}

// memory returns the bytes this machine, or the control group we are in, allows us.
func memory() int64 {
	total := int64(1 << 30)
	if n := meminfo("/proc/meminfo"); n > 0 {
		total = n
	}
	limit, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if n, numErr := strconv.ParseInt(strings.TrimSpace(string(limit)), 10, 64); err == nil && numErr == nil {
		total = min(total, n)
	}
	return total
}

// meminfo returns MemTotal in bytes, or 0.
func meminfo(path string) int64 {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 1 && fields[0] == "MemTotal:" {
			kb, _ := strconv.ParseInt(fields[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}
